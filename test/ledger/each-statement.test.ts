/** What an operator's own key has signed, for something else than the decision it stands beside: each check alone. */
import { afterEach, expect, test } from "bun:test";
import { generateKeyPairSync, sign } from "node:crypto";
import { publicJwk, thumbprint } from "../../src/keys/jwk.ts";
import { verifyLedgerFile } from "../../src/ledger/verify/file.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";
import { verifyLedger } from "../independent/verify.ts";
import { HASH, hold, policy, UUID } from "./said.ts";
import { type Said, type ScratchLog, scratchLog, task } from "./scratch-log.ts";

type Body = Readonly<Record<string, unknown>>;

const logs: ScratchLog[] = [];
afterEach(() => {
  for (const log of logs.splice(0)) log.remove();
});

const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const jwk = publicJwk(publicKey);
const operator = { id: "o", jkt: thumbprint(jwk), tenant: null, principals: [] };
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

function signed(header: Body, claims: unknown): string {
  const input = `${encode(header)}.${encode(claims)}`;
  const mark = sign("sha256", Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" });
  return `${input}.${mark.toString("base64url")}`;
}

const HEADER = { alg: "ES256", typ: "latchgate-approval+jws", jwk };
interface Made {
  readonly header?: Body;
  readonly claims?: Body;
  /** Of the decision itself. */
  readonly body?: Body;
  readonly statement?: (jws: string) => string | null;
  /** Before the decision; an opening, a policy and the hold are there anyway. */
  readonly operators?: readonly Body[];
}

/** A log with one decision on a held call, and what both verifiers say of it. */
async function decided({ header, claims, body, statement = (jws) => jws, operators = [operator] }: Made) {
  const log = scratchLog();
  logs.push(log);
  const say = (said: Said) => log.writer.run([task("say", said)]);
  await say(policy(null, "ours"));
  if (operators.length > 0) await say({ type: "operators.loaded", body: { operators } });
  await say(hold());
  const seq = operators.length > 0 ? 3 : 2;
  const right = { approval_id: UUID, call: HASH, decision: "deny", log: log.writer.logId, seq };
  const jws = signed({ ...HEADER, ...header }, { ...right, nonce: "n", iat: 1, exp: 2, ...claims });
  const of = hold().body;
  await say({
    type: "approval.decided",
    body: {
      ...{ trace_id: of.trace_id, tenant: of.tenant, principal: of.principal, session_id: of.session_id },
      ...{ action_id: of.action_id, action_version: of.action_version, action_digest: of.action_digest },
      ...{ approval_id: UUID, call: of.call, decision: "deny", statement: statement(jws), reason: null },
      operator: { id: operator.id, jkt: operator.jkt, method: "signed_statement" },
      ...{ votes: 0, quorum: 1, ...body },
    },
  });
  const { kid } = log.writer.keys.current("evidence");
  log.writer.close();
  return {
    shipped: verifyLedgerFile(log.ledger, { trust: readTrust(kid), strict: true }),
    independent: verifyLedger(log.ledger, kid),
  };
}

test("signed for this decision it holds", async () => {
  const { shipped, independent } = await decided({});
  expect(shipped).toMatchObject({ verdict: "intact", statements: 1, unsigned_decisions: 0 });
  expect(independent).toMatchObject({ exit_code: 0, faults: [] });
});

const ELSE = "01a205ba-0000-7000-8000-00000000ffff";
const FOREIGN: readonly (readonly [what: string, made: Made])[] = [
  ["for another approval", { claims: { approval_id: ELSE } }],
  ["for another decision", { claims: { decision: "approve" } }],
  ["for another call", { claims: { call: "f".repeat(64) } }],
  ["for another log", { claims: { log: ELSE } }],
  ["for an earlier hold of the same id", { claims: { seq: 1 } }],
  ["with a member more", { claims: { more: 1 } }],
  ["with a member less", { claims: { nonce: undefined } }],
  ["as something else than an approval", { header: { typ: "dpop+jwt" } }],
  ["under the name of another algorithm", { header: { alg: "ES384" } }],
  ["with more in its header", { header: { crit: [] } }],
  ["with a fourth part", { statement: (jws) => `${jws}.AAAA` }],
  ["and cut off", { statement: (jws) => jws.slice(0, -8) }],
  ["told as one that nobody took", { body: { operator: null } }],
  ["and left out", { statement: () => null }],
];
test.each(FOREIGN)("damage, though the operator's key signed it: %s", async (_, made) => {
  const { shipped, independent } = await decided(made);
  expect(shipped).toMatchObject({
    exit_code: 11,
    damage: { statement: 1 },
    first_damage: { kind: "statement" },
  });
  expect(independent).toMatchObject({ verdict: "damaged", exit_code: 11 });
});

const EARLIER: Made = { operators: [], claims: { call: undefined, log: undefined, plan_hash: "p" } };
test("in the form of an earlier gate it counts as long as the log has named no operators, and no longer", async () => {
  expect((await decided(EARLIER)).shipped).toMatchObject({ exit_code: 0, statements: 1 });
  const { shipped, independent } = await decided({ ...EARLIER, operators: [operator] });
  expect(shipped).toMatchObject({ exit_code: 11, damage: { statement: 1 } });
  expect(independent.exit_code).toBe(11);
});

const STRANGERS: readonly (readonly [what: string, made: Made])[] = [
  ["whose key the log does not name", { operators: [{ ...operator, jkt: "C".repeat(43) }] }],
  ["under another name", { operators: [{ ...operator, id: "p" }] }],
  ["of another tenant", { operators: [{ ...operator, tenant: "other" }] }],
  [
    "who is the one who asked",
    {
      operators: [{ ...operator, principals: ["p"] }],
      body: { decision: "approve", votes: 1 },
      claims: { decision: "approve" },
    },
  ],
];
test.each(STRANGERS)("damage: a decision by an operator %s", async (_, made) => {
  const { shipped, independent } = await decided(made);
  expect(shipped).toMatchObject({ exit_code: 10, damage: { rules: 1 } });
  expect(independent.exit_code).toBe(10);
});
