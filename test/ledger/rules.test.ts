/** What entries may not say after one another, each entry signed by the real key and every link right. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import { judge, payloadOf, rewrite, rewriteRows } from "./forge.ts";
import { type LivedLedger, liveALittle, startOn } from "./lived-ledger.ts";

type Body = Record<string, unknown>;

let lived: LivedLedger;
let bodies: readonly Body[];
beforeAll(async () => {
  lived = await liveALittle();
  bodies = lived.rows.map(payloadOf);
});
afterAll(() => lived[Symbol.asyncDispose]());

const inner = (body: Body, name: string): Body => body[name] as Body; // a body or list of one, by its schema

function nth(type: string, n: number, where: (body: Body) => boolean = () => true): Body {
  const found = bodies.filter((body) => body.type === type && where(body)).at(n);
  if (found === undefined) throw new Error(`the log has no such ${type}`);
  return found;
}
const byProof = (body: Body) => inner(body, "cause").kind === "proof";
const byApproval = (body: Body) => !byProof(body);
const overHttp = (body: Body) => (body.effects as Body[])[0]?.kind === "http";
const onFiles = (body: Body) => (body.effects as Body[])[0]?.reached === "confirmed" && !overHttp(body);
const approval = (body: Body) => body.decision === "approve";

/** Edits one entry's text, before it is signed again. */
const editing = (target: Body, change: (body: Body) => unknown) => (text: string, seq: number) => {
  if (seq !== target.seq) return text;
  const body = JSON.parse(text) as Body;
  change(body);
  return canonicalJson(body as never); // parsed from json
};

interface Broken {
  readonly what: string;
  readonly target: () => Body;
  readonly change: (body: Body) => unknown;
  readonly detail: string;
  /** Where it shows, when that is not where it was changed. */
  readonly at?: () => Body;
}

const OTHER = "0".repeat(64);
const ELSE = "01a205ba-0000-7000-8000-000000000000";
const RULES: readonly Broken[] = [
  {
    what: "a call ran with fewer approvers than it was held for",
    target: () => nth("call.held", 0),
    change: (body) => Object.assign(body, { quorum: 2 }),
    detail: "a grant without its quorum of approvers",
    at: () => nth("call.granted", 0, byApproval),
  },
  {
    what: "one approver is counted as two",
    target: () => nth("approval.decided", 0, approval),
    change: (body) => Object.assign(body, { votes: 2 }),
    detail: "the votes do not add up",
  },
  {
    what: "the one who asked approved",
    target: () => nth("approval.decided", 0, approval),
    change: (body) => Object.assign(inner(body, "operator"), { jkt: nth("call.held", 0).jkt }),
    detail: "the one who asked approved",
  },
  {
    what: "nobody approved",
    target: () => nth("approval.decided", 0, approval),
    change: (body) => Object.assign(body, { operator: null }),
    detail: "an approval by nobody",
  },
  {
    what: "another call was approved than was held",
    target: () => nth("approval.decided", 0, approval),
    change: (body) => Object.assign(inner(body, "call"), { commitment: OTHER }),
    detail: "a decision on another call than the one held",
  },
  {
    what: "a decision on nothing",
    target: () => nth("approval.decided", 0, approval),
    change: (body) => Object.assign(body, { approval_id: ELSE }),
    detail: "a decision on a call that is not held",
  },
  {
    what: "another call ran than was approved",
    target: () => nth("call.granted", 0, byApproval),
    change: (body) => Object.assign(inner(body, "call"), { commitment: OTHER }),
    detail: "the call that ran is not the one that was approved",
  },
  {
    what: "the grant names approvers who did not approve",
    target: () => nth("call.granted", 0, byApproval),
    change: (body) => Object.assign(body, { approvers: [nth("call.held", 0).jkt] }),
    detail: "the approvers of the grant are not those who approved",
  },
  {
    what: "a grant by an approval of nothing",
    target: () => nth("call.granted", 0, byApproval),
    change: (body) => Object.assign(inner(body, "cause"), { approval_id: ELSE }),
    detail: "a grant without a held call behind it",
  },
  {
    what: "one proof, two grants",
    target: () => nth("call.granted", 1, byProof),
    change: (body) =>
      Object.assign(inner(body, "cause"), {
        proof: inner(nth("call.granted", 0, byProof), "cause").proof,
      }),
    detail: "a proof was granted twice",
  },
  {
    what: "a grant by a proof that is not told",
    target: () => nth("call.granted", 0, byProof),
    change: (body) => Object.assign(inner(body, "cause"), { proof: null }),
    detail: "a proof was granted twice",
  },
  {
    what: "a grant under an epoch that is not in force",
    target: () => nth("call.granted", 0),
    change: (body) => Object.assign(body, { epoch: 1 }),
    detail: "a grant under a revoked epoch",
  },
  {
    what: "a grant under a policy that is not in force",
    target: () => nth("call.granted", 0),
    change: (body) => Object.assign(body, { policy_version: "another" }),
    detail: "a grant under another policy than the one in force",
  },
  {
    what: "a call held under an epoch that is not in force",
    target: () => nth("call.held", -1),
    change: (body) => Object.assign(body, { epoch: 1 }),
    detail: "a call was held under a revoked epoch",
  },
  {
    what: "two holds of one id",
    target: () => nth("call.held", -1),
    change: (body) => Object.assign(body, { approval_id: nth("call.held", 0).approval_id }),
    detail: "a decision on a call that is not held",
    // The first of the two ended long before; what ends the second finds nothing.
    at: () => nth("approval.decided", -1),
  },
  {
    what: "a receipt of no grant",
    target: () => nth("call.receipt", 0),
    change: (body) => Object.assign(body, { grant_id: ELSE }),
    detail: "a receipt without an open grant",
  },
  {
    what: "a second receipt of a grant",
    target: () => nth("call.receipt", 1),
    change: (body) => Object.assign(body, { grant_id: nth("call.receipt", 0).grant_id }),
    detail: "a receipt without an open grant",
  },
  {
    what: "a receipt of another component than was granted",
    target: () => nth("call.receipt", 0),
    change: (body) => Object.assign(body, { component_digest: `sha256:${OTHER}` }),
    detail: "the receipt is of another call than its grant",
  },
  {
    what: "a receipt of another session than was granted",
    target: () => nth("call.receipt", 0),
    change: (body) => Object.assign(body, { session_id: ELSE }),
    detail: "the receipt is of another call than its grant",
  },
  {
    what: "a request to a host that was not granted",
    target: () => nth("call.receipt", 0, overHttp),
    change: (body) => Object.assign(inner(inner(body, "effects"), "0"), { origin: "https://evil.example" }),
    detail: "an effect outside what was granted",
  },
  {
    what: "a credential that was not granted",
    target: () => nth("call.receipt", 0, overHttp),
    change: (body) => Object.assign(inner(inner(body, "effects"), "0"), { secrets: ["GITHUB_TOKEN"] }),
    detail: "a credential that was not granted",
  },
  {
    what: "a read-back of nothing",
    target: () => nth("call.receipt", 0, overHttp),
    change: (body) =>
      Object.assign(inner(inner(body, "effects"), "0"), { purpose: "read_back", method: "GET" }),
    detail: "a read-back of no effect of the call",
  },
  {
    what: "a second write that calls itself a read-back",
    target: () => nth("call.receipt", 0, overHttp),
    change: (body) => {
      const effects = body.effects as Body[]; // by its schema
      effects.push({ ...effects[0], purpose: "read_back", method: "POST" });
    },
    detail: "a read-back of no effect of the call",
  },
  {
    what: "a read-back elsewhere",
    target: () => nth("call.receipt", 0, overHttp),
    change: (body) => {
      const effects = body.effects as Body[]; // as above
      const there = {
        purpose: "read_back",
        method: "GET",
        origin: "https://elsewhere.example",
        reached: "none",
      };
      effects.push({ ...effects[0], ...there });
    },
    detail: "a read-back of no effect of the call",
  },
  {
    what: "a file that was not granted",
    target: () => nth("call.receipt", 0, onFiles),
    change: (body) => Object.assign(inner(inner(body, "effects"), "0"), { path: OTHER }),
    detail: "an effect outside what was granted",
  },
  {
    what: "a statement on a connection that was not granted",
    target: () => nth("call.receipt", 0, overHttp),
    change: (body) =>
      Object.assign(inner(body, "effects"), {
        0: {
          kind: "database",
          connection: "payroll",
          engine: "postgresql",
          target: "db.example.com:5432/payroll",
          statement: OTHER,
          parameters: OTHER,
          class: "select",
          tables: [],
          rows: 1,
          affected: 0,
          bytes: 2,
          result: OTHER,
          sqlstate: null,
          reached: "confirmed",
          error: null,
        },
      }),
    detail: "an effect outside what was granted",
  },
  {
    what: "a revocation that skips an epoch",
    target: () => nth("revocation", 0),
    change: (body) => Object.assign(body, { epoch: 2 }),
    detail: "the revocation does not continue the epochs",
  },
  {
    what: "a lease under an epoch that is not in force",
    target: () => nth("lease.issued", 0),
    change: (body) => Object.assign(body, { epoch: 1 }),
    detail: "a lease under another epoch than the one in force",
  },
  {
    what: "a policy change that hides the one before",
    target: () => nth("policy.changed", 0),
    change: (body) => Object.assign(body, { previous: "another" }),
    detail: "the policy change does not follow the last one",
  },
];

test.each(RULES)("$what: found", ({ target, change, detail, at = target }) => {
  const edit = editing(target(), change);
  const report = judge(
    rewriteRows(lived.rows, { keys: join(lived.gate.dir, "keys"), edit }),
    lived.fingerprint,
  );
  expect(report).toMatchObject({
    verdict: "damaged",
    exit_code: 10,
    first_damage: { kind: "rules", seq: at().seq, detail },
  });
});

const LINKS: readonly (readonly [what: string, change: (body: Body) => unknown])[] = [
  ["a link to another entry", (body) => Object.assign(body, { prev: OTHER })],
  ["no link at all", (body) => Object.assign(body, { prev: null })],
  ["the id of another log", (body) => Object.assign(body, { log: ELSE })],
];

test.each(LINKS)(
  "the last entry with %s, signed by the real key: found by verify, and at start",
  (_, change) => {
    const copy = lived.copy();
    const last = bodies.at(-1) ?? {};
    const forged = { keys: join(lived.gate.dir, "keys"), edit: editing(last, change) };
    expect(judge(rewriteRows(lived.rows, forged), lived.fingerprint)).toMatchObject({
      verdict: "damaged",
      first_damage: { kind: "chain", seq: last.seq },
    });
    rewrite(copy.ledger, forged);
    const { code, stderr } = startOn(copy);
    expect({ code, error: JSON.parse(stderr).error.code }).toEqual({ code: 1, error: "ledger_damaged" });
  },
);

test("the last entry changed under its old signature: found by verify, and at start", () => {
  const copy = lived.copy();
  const last = bodies.at(-1) ?? {};
  const forged = { keys: null, edit: editing(last, (body) => Object.assign(body, { reason: "another" })) };
  expect(judge(rewriteRows(lived.rows, forged), lived.fingerprint)).toMatchObject({
    verdict: "damaged",
    first_damage: { kind: "signature", seq: last.seq },
  });
  rewrite(copy.ledger, forged);
  const { code, stderr } = startOn(copy);
  expect({ code, error: JSON.parse(stderr).error.code }).toEqual({ code: 1, error: "ledger_damaged" });
});
