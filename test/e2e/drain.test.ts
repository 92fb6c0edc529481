import { Database } from "bun:sqlite";
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { type GateProcess, type GateSetup, openPolicy, startGate } from "../gate-process.ts";
import { send, WireAgent, type WireAnswer, WireOperator } from "../wire-client.ts";
import { answer, startUpstream, type Upstream, until, withUpstream } from "./upstream-server.ts";

let upstream: Upstream;
let gate: GateProcess;
/** Lets the answers of `/gated` go. */
const gates: (() => void)[] = [];

beforeAll(async () => {
  upstream = await startUpstream({
    "/gated": (socket) => void gates.push(() => answer(socket, 200, '{"gated":true}')),
    "/silent": () => undefined,
  });
});
afterAll(() => upstream.close());
afterEach(async () => {
  gates.splice(0);
  await gate[Symbol.asyncDispose]();
});

async function start(setup: GateSetup = {}): Promise<WireAgent> {
  gate = await startGate(
    withUpstream(upstream, ["http_post", "http_delete"], {
      policy: openPolicy(),
      files: { "src/a.txt": "a" },
      ...setup,
    }),
  );
  return WireAgent.connect(gate.clientSocket);
}

/** A call that the upstream has, and has not answered. */
async function begin(agent: WireAgent, path: string): Promise<{ readonly answered: Promise<WireAnswer> }> {
  const before = upstream.requests.length;
  const answered = agent.execute("http_post", { url: upstream.origin + path, body: 1 });
  // Whoever cuts it off says so; here it is only kept from counting as unhandled.
  answered.catch(() => undefined);
  await upstream.arrived(before + 1);
  return { answered };
}

function ledger(): { types: string[]; checkpoint: number; entries: number } {
  const db = new Database(gate.ledger, { readonly: true });
  try {
    const types = db.query<{ type: string }, []>("SELECT type FROM entries ORDER BY seq").all();
    const last = db.query<{ size: number }, []>("SELECT max(size) AS size FROM checkpoints").get();
    return { types: types.map(({ type }) => type), checkpoint: last?.size ?? 0, entries: types.length };
  } finally {
    db.close();
  }
}

test("SIGTERM lets the running call finish and answer, tells new ones to wait, and leaves everything closed", async () => {
  const agent = await start();
  const { answered } = await begin(agent, "/gated");
  const stopped = gate.stop();
  const refused = await until(
    () => agent.execute("fs_read", { path: "src/a.txt" }),
    ({ status }) => status !== 200,
  );
  expect([refused.status, refused.body.error]).toEqual([503, "draining"]);
  expect(refused.body.message).toBeString();
  expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
  const lease = await agent.requestLease();
  expect([lease.status, lease.body.error]).toEqual([503, "draining"]);
  expect((await send(gate.clientSocket, { method: "GET", path: "/readyz" })).status).toBe(503);

  for (const release of gates) release();
  const done = await answered;
  expect(done.body).toMatchObject({ decision: "executed", output: { json: { gated: true } } });
  expect(await stopped).toBe(0);
  expect([existsSync(gate.clientSocket), existsSync(gate.adminSocket)]).toEqual([false, false]);
  const { types, checkpoint, entries } = ledger();
  expect(types.at(-1)).toBe("gate.stopped");
  expect(checkpoint).toBe(entries);
  const verified = await gate.run("verify", gate.ledger, "--trust", gate.fingerprint, "--json");
  expect(verified.code).toBe(0);
});

test("at its deadline the gate cuts what still runs: its caller and the log are told", async () => {
  const agent = await start({ config: "[limits]\ndrain_s = 0.3" });
  const { answered } = await begin(agent, "/silent");
  expect(await gate.stop()).toBe(0);
  const cut = await answered;
  expect(cut.status).toBe(502);
  expect(cut.body).toMatchObject({ status: "indeterminate", dispatched: "unknown" });
  expect(ledger().types.slice(-2)).toEqual(["call.receipt", "gate.stopped"]);
});

test("an idle gate stops at once, whatever connections are open", async () => {
  const agent = await start();
  expect((await agent.execute("fs_read", { path: "src/a.txt" })).status).toBe(200);
  expect(await gate.stop()).toBe(0);
  expect(ledger().types.at(-1)).toBe("gate.stopped");
});

test("a second signal does not wait; the next start closes what was left open", async () => {
  const agent = await start();
  const { answered } = await begin(agent, "/silent");
  const first = gate.stop();
  await until(
    () => agent.execute("fs_read", { path: "src/a.txt" }),
    ({ status }) => status === 503,
  );
  expect(await gate.stop()).not.toBe(0);
  await first;
  await expect(answered).rejects.toThrow();
  expect(ledger().types.at(-1)).not.toBe("gate.stopped");
  gate = await gate.restart();
  expect(gate.banner.unresolved).toContain("1 calls");
  const operator = await WireOperator.of(gate);
  const { events } = (await operator.call("GET", "/v1/audit/events?type=call.receipt&limit=1")).body;
  expect(events).toMatchObject([{ status: "indeterminate", error: "gate_restarted", dispatched: "unknown" }]);
});

test("drained by an operator, the gate takes no calls, leases or approvals, and still tells and denies", async () => {
  const agent = await start();
  const operator = await WireOperator.of(gate);
  const done = await agent.execute("fs_read", { path: "src/a.txt" });
  const hold = async () =>
    (await agent.execute("http_delete", { url: `${upstream.origin}/x` })).body.approval_id as string;
  const [one, other] = [await hold(), await hold()];
  const { answered } = await begin(agent, "/gated");
  const drained = await operator.call("POST", "/v1/admin/drain");
  expect(drained.body).toEqual({ draining: true, already_draining: false, in_flight_executions: 1 });
  expect((await operator.call("POST", "/v1/admin/drain")).body.already_draining).toBe(true);

  for (const refused of [
    await agent.execute("fs_read", { path: "src/a.txt" }),
    await agent.requestLease(),
    await operator.approve(one),
  ])
    expect([refused.status, refused.body.error]).toEqual([503, "draining"]);

  expect((await operator.deny(other)).body).toMatchObject({ decision: "deny" });
  expect((await agent.poll(other)).body).toMatchObject({ status: "denied" });
  expect((await agent.poll(one)).body).toMatchObject({ status: "pending" });
  expect((await agent.receipt(done.body.receipt_id)).status).toBe(200);
  expect((await send(gate.clientSocket, { method: "GET", path: "/v1/actions" })).status).toBe(200);
  expect((await send(gate.clientSocket, { method: "GET", path: "/healthz" })).body).toEqual({ status: "ok" });
  const ready = await send(gate.clientSocket, { method: "GET", path: "/readyz" });
  expect([ready.status, ready.body.status]).toEqual([503, "not_ready"]);
  expect((await operator.call("GET", "/v1/admin/status")).body).toMatchObject({
    status: "draining",
    draining: true,
    in_flight_executions: 1,
  });
  for (const release of gates) release();
  expect((await answered).status).toBe(200);
});
