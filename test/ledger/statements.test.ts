/** Operators' signed decisions: what somebody who holds the evidence key, but no operator's, can make of them. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { generateKeyPairSync, sign } from "node:crypto";
import { join } from "node:path";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import { publicJwk, thumbprint } from "../../src/keys/jwk.ts";
import { verifyLedgerFile } from "../../src/ledger/verify/file.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";
import { verifyLedger } from "../independent/verify.ts";
import { payloadOf, rewrite } from "./forge.ts";
import { type LivedLedger, liveALittle } from "./lived-ledger.ts";

type Body = Record<string, unknown>;

let lived: LivedLedger;
let signed: readonly Body[];
let operators: Body;
beforeAll(async () => {
  lived = await liveALittle();
  const bodies = lived.rows.map(payloadOf);
  signed = bodies.filter(({ type, statement }) => type === "approval.decided" && statement !== null);
  operators = bodies.find(({ type }) => type === "operators.loaded") ?? {};
});
afterAll(() => lived[Symbol.asyncDispose]());

const nth = (n: number): Body => {
  const body = signed[n];
  if (body === undefined) throw new Error("too few signed decisions");
  return body;
};

/** What both verifiers say of the log with these entries changed, everything signed anew with the real keys. */
function verdicts(changes: ReadonlyMap<unknown, (body: Body) => unknown>) {
  const copy = lived.copy();
  try {
    const edit = (text: string, seq: number) => {
      const change = changes.get(seq);
      if (change === undefined) return text;
      const body = JSON.parse(text) as Body;
      change(body);
      return canonicalJson(body as never); // parsed from json
    };
    rewrite(copy.ledger, { keys: join(lived.gate.dir, "keys"), edit });
    const shipped = verifyLedgerFile(copy.ledger, { trust: readTrust(lived.fingerprint), strict: true });
    return { shipped, independent: verifyLedger(copy.ledger, lived.fingerprint) };
  } finally {
    copy.remove();
  }
}

/** A statement as an operator's client makes it, by another key. */
function forgedStatement(original: unknown): { readonly statement: string; readonly jkt: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = publicJwk(publicKey);
  const header = { alg: "ES256", typ: "latchgate-approval+jws", jwk };
  const input = `${Buffer.from(JSON.stringify(header)).toString("base64url")}.${String(original).split(".")[1]}`;
  const mark = sign("sha256", Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" });
  return { statement: `${input}.${mark.toString("base64url")}`, jkt: thumbprint(jwk) };
}

/** The statement with one claim changed under its old signature. */
function altered(original: unknown, claim: Body): string {
  const [head, body = "", mark] = String(original).split(".");
  const claims = { ...JSON.parse(Buffer.from(body, "base64url").toString()), ...claim };
  return `${head}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.${mark}`;
}

test("the log names its operators, and counts the decisions that they have signed", () => {
  expect(operators.operators).toMatchObject([{ id: "default", tenant: null, principals: [] }]);
  const { shipped, independent } = verdicts(new Map());
  expect(shipped).toMatchObject({ verdict: "intact", statements: 3, unsigned_decisions: 1 });
  expect(independent).toMatchObject({ verdict: "intact", exit_code: 0 });
});

const ELSE = "01a205ba-0000-7000-8000-000000000000";
const FORGERIES: readonly (readonly [what: string, make: () => Map<unknown, (body: Body) => unknown>])[] = [
  [
    "statements of two holds in each other's place",
    () =>
      new Map([
        [nth(0).seq, (body: Body) => Object.assign(body, { statement: nth(1).statement })],
        [nth(1).seq, (body: Body) => Object.assign(body, { statement: nth(0).statement })],
      ]),
  ],
  [
    "a refusal that is told as an approval",
    () => new Map([[nth(0).seq, (body) => Object.assign(body, { statement: nth(2).statement })]]),
  ],
  [
    "a statement with another decision in it",
    () =>
      new Map([
        [
          nth(0).seq,
          (body) => Object.assign(body, { statement: altered(body.statement, { decision: "deny" }) }),
        ],
      ]),
  ],
  [
    "a statement with another call in it",
    () =>
      new Map([
        [nth(0).seq, (body) => Object.assign(body, { statement: altered(body.statement, { call: "0" }) })],
      ]),
  ],
  [
    "a statement with another nonce in it",
    () =>
      new Map([
        [nth(0).seq, (body) => Object.assign(body, { statement: altered(body.statement, { nonce: ELSE }) })],
      ]),
  ],
  [
    "a statement by a key that is not the operator's",
    () =>
      new Map([
        [nth(0).seq, (body) => Object.assign(body, { statement: forgedStatement(body.statement).statement })],
      ]),
  ],
  [
    "a statement that is gone",
    () => new Map([[nth(0).seq, (body) => Object.assign(body, { statement: null })]]),
  ],
  ["a statement of nobody", () => new Map([[nth(2).seq, (body) => Object.assign(body, { operator: null })]])],
  [
    "a statement that the decision does not speak of",
    () =>
      new Map([
        [
          nth(0).seq,
          (body) =>
            Object.assign(body, { operator: { ...(body.operator as Body), method: "operator_dpop" } }),
        ],
      ]),
  ],
  [
    "a statement on a hold that was put in the place of the signed one",
    () => {
      const held = lived.rows
        .map(payloadOf)
        .find((body) => body.type === "call.held" && body.approval_id === nth(2).approval_id);
      const swap = (body: Body) =>
        Object.assign(body, { call: { ...(body.call as Body), commitment: "0".repeat(64) } });
      return new Map([
        [held?.seq, swap],
        [nth(2).seq, swap],
      ]);
    },
  ],
];

test.each(FORGERIES)("%s: damage of its own kind, for both verifiers", (_, make) => {
  const { shipped, independent } = verdicts(make());
  expect(shipped).toMatchObject({
    verdict: "damaged",
    exit_code: 11,
    first_damage: { kind: "statement" },
  });
  expect(independent).toMatchObject({ verdict: "damaged", exit_code: 11 });
});

test("a decision without its statement, told as one that never had any, is counted as the gate's word alone", () => {
  const unsay = (body: Body) =>
    Object.assign(body, {
      statement: null,
      operator: { ...(body.operator as Body), method: "operator_dpop" },
    });
  const { shipped, independent } = verdicts(new Map([[nth(0).seq, unsay]]));
  expect(shipped).toMatchObject({ verdict: "intact", statements: 2, unsigned_decisions: 2 });
  expect(independent.exit_code).toBe(0);
});

const STRANGERS: readonly (readonly [what: string, change: (body: Body) => unknown, detail: string])[] = [
  [
    "whose key the log does not know",
    (body) => Object.assign(body, { operators: [] }),
    "a decision by somebody who is no operator",
  ],
  [
    "under another name",
    (body) => Object.assign((body.operators as Body[])[0] ?? {}, { id: "somebody" }),
    "a decision by somebody who is no operator",
  ],
  [
    "of another tenant",
    (body) => Object.assign((body.operators as Body[])[0] ?? {}, { tenant: "other" }),
    "a decision by an operator of another tenant",
  ],
  [
    "who acts as the one who asked",
    (body) =>
      Object.assign((body.operators as Body[])[0] ?? {}, { principals: [`uid:${process.getuid?.()}`] }),
    "the one who asked approved",
  ],
];

test.each(STRANGERS)("a decision by an operator %s: damage", (_, change, detail) => {
  const { shipped, independent } = verdicts(new Map([[operators.seq, change]]));
  expect(shipped).toMatchObject({ exit_code: 10, first_damage: { kind: "rules", detail } });
  expect(independent.exit_code).toBe(10);
});

test("an operator's key that is exchanged in the list does not sign for the one it replaces", () => {
  const [first] = signed;
  const { statement, jkt } = forgedStatement(first?.statement);
  // All that the holder of the evidence key can do: the decision is then by another key than the auditor knows.
  const changes = new Map<unknown, (body: Body) => unknown>([
    [operators.seq, (body) => Object.assign((body.operators as Body[])[0] ?? {}, { jkt })],
    [first?.seq, (body) => Object.assign(body, { statement, operator: { ...(body.operator as Body), jkt } })],
  ]);
  const { shipped } = verdicts(changes);
  // The grant names another approver, and the other decisions are by nobody the log knows.
  expect(shipped).toMatchObject({ verdict: "damaged", exit_code: 10 });
});

test("a log of an earlier gate, which named no operators, and whose statements named the plan, is intact", () => {
  const copy = lived.copy();
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = publicJwk(publicKey);
  const jkt = thumbprint(jwk);
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const old = (body: Body, approval_id: unknown) => {
    const claims = { approval_id, plan_hash: "sha256:0", request_hash: "sha256:1", decision: body.decision };
    const input = `${encode({ alg: "ES256", typ: "latchgate-approval+jws", jwk })}.${encode(claims)}`;
    const mark = sign("sha256", Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" });
    return {
      operator: { ...(body.operator as Body), jkt },
      statement: `${input}.${mark.toString("base64url")}`,
    };
  };
  const verdict = (approval: (body: Body) => unknown, keep: boolean) => {
    rewrite(copy.ledger, {
      keys: copy.keys,
      edit: (text, seq) => {
        const body = JSON.parse(text) as Body;
        // In its place stands what says nothing: an earlier gate wrote no such entry at all.
        if (seq === operators.seq && !keep) {
          const { id, log, prev, time, v } = body;
          return canonicalJson({ id, log, prev, time, v, seq, type: "gate.stopped", reason: "x" } as never);
        }
        if (seq !== nth(2).seq) return text;
        return canonicalJson({ ...body, ...old(nth(2), approval(body)) } as never);
      },
    });
    return verifyLedger(copy.ledger, lived.fingerprint);
  };
  const shipped = () => {
    const rows = verifyLedgerFile(copy.ledger, { trust: readTrust(lived.fingerprint), strict: true });
    // The column of the entry that was replaced differs; nothing else does.
    const { projection: _, ...damage } = rows.damage;
    return damage;
  };
  verdict((body) => body.approval_id, false);
  expect(shipped()).toEqual({});
  verdict(() => ELSE, false);
  expect(shipped()).toEqual({ statement: 1 });
  copy.remove();
});
