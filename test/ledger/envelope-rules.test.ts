/** What a receipt may tell under a grant of an envelope; both verifiers are asked. */
import { afterEach, expect, test } from "bun:test";
import { verifyLedger } from "../independent/verify.ts";
import { judge, readCheckpoints, readRows } from "./forge.ts";
import { type ScratchLog, scratchLog, task } from "./scratch-log.ts";

const logs: ScratchLog[] = [];
afterEach(() => {
  for (const log of logs.splice(0)) log.remove();
});

const UUID = "01a205ba-0000-7000-8000-000000000000";
const JKT = "A".repeat(43);
const HASH = "0".repeat(64);
const DIGEST = `sha256:${HASH}`;
const TIME = "2026-01-01T00:00:00.000Z";
const call = {
  ...{ trace_id: UUID, tenant: "t", principal: "p", session_id: UUID },
  ...{ action_id: "a", action_version: "1", action_digest: DIGEST },
};

const ENVELOPE = {
  calls: 3,
  targets: [
    { hosts: ["api.example.com", "2606:4700::1111"], methods: ["GET", "PUT"], ports: [443] },
    { hosts: ["*.example.org"], methods: ["GET"], ports: [443, 8443, 80] },
  ],
  plain: ["http://a.example.org"],
  secrets: [{ secret: "API_KEY", origin: "https://api.example.com" }],
};

const EFFECT = {
  kind: "http",
  purpose: "effect",
  method: "GET",
  origin: "https://api.example.com",
  target: HASH,
  address: "192.0.2.1",
  request_bytes: 0,
  request: null,
  status: 200,
  response_bytes: 0,
  response: HASH,
  secrets: [] as string[],
  scrubbed: 0,
  reached: "confirmed",
  error: null as string | null,
};
const DATABASE = {
  ...{
    kind: "database",
    connection: "orders",
    engine: "sqlite",
    target: "/x",
    statement: HASH,
    parameters: HASH,
  },
  ...{ class: "select", tables: [], rows: 1, affected: 0, bytes: 2, result: HASH, sqlstate: null },
  ...{ reached: "confirmed", error: null },
};

/** What both say of a log with one grant and one receipt that tells these effects. */
async function verdicts(effects: readonly object[], granted: object = { envelope: ENVELOPE }) {
  const log = scratchLog();
  logs.push(log);
  const grant = {
    ...{ ...call, jkt: JKT, grant_id: UUID, component_digest: DIGEST, risk: "low" },
    cause: { kind: "proof", proof: HASH, approval_id: null, idempotency: null },
    ...{ approvers: [], call: { commitment: HASH, bytes: 1 }, policy_version: "p", generation: 1 },
    granted: {
      hosts: ["*.example.org", "2606:4700::1111", "api.example.com"],
      ...{ paths: [], connections: ["orders"], secrets: ["API_KEY"], ...granted },
    },
    limits: { timeout_ms: 1, fuel: 1, memory_mb: 1, io_calls: 9, request_bytes: 1, response_bytes: 1 },
    ...{ budget: { reserved_calls: 1, remaining_calls: null }, epoch: 0 },
    ...{ not_after: TIME, boundary: "uid", decision: "grant" },
  };
  const receipt = {
    ...{ ...call, receipt_id: UUID, grant_id: UUID, component_digest: DIGEST, status: "indeterminate" },
    ...{ dispatched: "unknown", confirmed: false, claim: null, effects },
    verification: { outcome: "skipped", reasons: [] },
    ...{ error: null, started: TIME, finished: TIME, duration_ms: 0, io_calls: 0, fuel: null },
    ...{ peak_memory_bytes: null, redactions: 0, budget: { committed_calls: 1, released_calls: 0 } },
    ...{ boundary: "uid", decision: "error" },
  };
  await log.writer.run([
    task("say", { type: "policy.changed", body: { previous: null, policy_version: "p" } }),
    task("say", { type: "call.granted", body: grant }),
    task("say", { type: "call.receipt", body: receipt }),
  ]);
  log.writer.checkpoint();
  const { kid } = log.writer.keys.current("evidence");
  const report = judge(readRows(log.ledger), kid, readCheckpoints(log.ledger));
  // The table of grants is none of the subject: a scratch log has no rows there.
  const { faults } = verifyLedger(log.ledger, kid);
  const rules = faults.filter((fault) => fault.startsWith("10 "));
  log.abandon();
  return { exit: report.exit_code, detail: report.first_damage?.detail ?? null, independent: rules.length };
}

test.each<[string, object[]]>([
  ["nothing", []],
  ["a request", [EFFECT]],
  ["as many as there may be", [EFFECT, { ...EFFECT, method: "PUT" }, { ...EFFECT, reached: "maybe" }]],
  ["its credential", [{ ...EFFECT, secrets: ["API_KEY"] }]],
  ["a host below the wildcard", [{ ...EFFECT, origin: "https://a.b.example.org:8443" }]],
  ["an address", [{ ...EFFECT, origin: "https://[2606:4700::1111]" }]],
  ["no TLS where the grant has it so", [{ ...EFFECT, origin: "http://a.example.org" }]],
  [
    "refusals beside it, wherever they were to go",
    [EFFECT, EFFECT, EFFECT, { ...EFFECT, origin: "", reached: "none", error: "host_not_allowed" }],
  ],
])("an envelope may have %s", async (_what, effects) => {
  expect(await verdicts(effects)).toEqual({ exit: 0, detail: null, independent: 0 });
});

const OUTSIDE = "an effect outside what was granted";

test.each<[string, object[], string]>([
  ["another host", [{ ...EFFECT, origin: "https://evil.example" }], OUTSIDE],
  ["the host above the wildcard", [{ ...EFFECT, origin: "https://example.org" }], OUTSIDE],
  ["a host that ends like the wildcard", [{ ...EFFECT, origin: "https://evilexample.org" }], OUTSIDE],
  ["another port", [{ ...EFFECT, origin: "https://api.example.com:8443" }], OUTSIDE],
  ["another method", [{ ...EFFECT, method: "DELETE" }], OUTSIDE],
  ["the method of another target", [{ ...EFFECT, method: "PUT", origin: "https://a.example.org" }], OUTSIDE],
  ["no TLS", [{ ...EFFECT, origin: "http://b.example.org" }], OUTSIDE],
  ["a credential elsewhere", [{ ...EFFECT, origin: "https://a.example.org", secrets: ["API_KEY"] }], OUTSIDE],
  ["another credential", [{ ...EFFECT, secrets: ["OTHER"] }], OUTSIDE],
  ["an origin in another form", [{ ...EFFECT, origin: "https://API.example.com:443" }], OUTSIDE],
  ["an origin with a user", [{ ...EFFECT, origin: "https://ann@api.example.com" }], OUTSIDE],
  ["a read-back", [EFFECT, { ...EFFECT, purpose: "read_back" }], OUTSIDE],
  ["an effect of another kind", [DATABASE], OUTSIDE],
  ["one request too many", [EFFECT, EFFECT, EFFECT, EFFECT], "more requests than the envelope has"],
])("an envelope may not have %s", async (_what, effects, detail) => {
  const { exit, detail: told, independent } = await verdicts(effects);
  expect({ exit, told }).toEqual({ exit: 10, told: detail });
  expect(independent).toBeGreaterThan(0);
});

test("a wildcard among the hosts of an exact grant covers nothing", async () => {
  const effects = [{ ...EFFECT, origin: "https://a.example.org" }];
  const { exit, detail, independent } = await verdicts(effects, {});
  expect({ exit, detail }).toEqual({ exit: 10, detail: OUTSIDE });
  expect(independent).toBeGreaterThan(0);
});
