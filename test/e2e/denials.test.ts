import { Database } from "bun:sqlite";
import { afterEach, expect, test } from "bun:test";
import { openJws } from "../../src/ledger/entry/jws.ts";
import { type GateProcess, type GateSetup, startGate } from "../gate-process.ts";
import { freshKey, proof, send, WireAgent, type WireBody, WireOperator } from "../wire-client.ts";
import { UNHURRIED } from "./upstream-server.ts";

let gate: GateProcess;
afterEach(() => gate[Symbol.asyncDispose]());

async function start(setup: GateSetup = {}): Promise<void> {
  gate = await startGate({
    ...setup,
    config: `${UNHURRIED}\n${setup.config ?? ""}`,
    files: { "src/a.txt": "a" },
  });
}

/** Payloads of a type, oldest first, from the file itself. */
function entries(type: string): WireBody[] {
  const db = new Database(gate.ledger, { readonly: true });
  try {
    return db
      .query<{ jws: string }, [string]>("SELECT jws FROM entries WHERE type = ? ORDER BY seq")
      .all(type)
      .map(({ jws }) => JSON.parse(String(Buffer.from(openJws(jws)?.payload ?? ""))));
  } finally {
    db.close();
  }
}

const shed = (): { peer: string; reason: string; count: number }[] =>
  entries("shed.summary").flatMap((entry) => entry.counts);

test("every refusal after authentication leaves one signed entry, with its code and without the request", async () => {
  await start();
  const agent = await WireAgent.connect(gate.clientSocket);
  const refusals = [
    [await agent.execute("no_such_action", {}), 404, "action_not_found"],
    [await agent.execute("fs_read", { path: 7 }), 422, "schema_violation"],
    [await agent.execute("fs_read", { path: "../etc/hunter2" }), 403, "policy_denied"],
    [await agent.execute("http_delete", { url: "https://example.org/hunter2" }), 403, "policy_denied"],
  ] as const;
  for (const [answer, status, code] of refusals)
    expect([answer.status, answer.body.error]).toEqual([status, code]);
  const denied = entries("call.denied");
  expect(denied.map(({ code, status }) => [status, code])).toEqual(
    refusals.map(([, status, code]) => [status, code]),
  );
  expect(denied.map(({ trace_id }) => trace_id)).toEqual(refusals.map(([answer]) => answer.body.trace_id));
  expect(new Set(denied.map(({ session_id }) => session_id))).toEqual(new Set([agent.session]));
  expect(JSON.stringify(denied.slice(2))).not.toContain("hunter2");
  const operator = await WireOperator.of(gate);
  const listed = await operator.call("GET", "/v1/audit/events?decision=deny&event_type=action_call");
  expect(listed.body.events.length).toBe(refusals.length);
});

test("a refused request has used up its proof", async () => {
  await start();
  const agent = await WireAgent.connect(gate.clientSocket);
  const path = "/v1/actions/fs_read/execute";
  const dpop = await proof(agent.key, agent.lease, "POST", path);
  const once = () =>
    send(gate.clientSocket, {
      method: "POST",
      path,
      headers: { authorization: `DPoP ${agent.lease}`, dpop },
      body: '{"path":7}',
    });
  expect((await once()).status).toBe(422);
  const again = await once();
  expect([again.status, again.body.error]).toEqual([401, "replay_detected"]);
});

test("beyond its share per minute a principal's refusals are counted, not written one by one", async () => {
  await start({ config: "[limits]\ndenials_per_minute = 5" });
  const agent = await WireAgent.connect(gate.clientSocket);
  for (let i = 0; i < 30; i++) expect((await agent.execute("no_such_action", {})).status).toBe(404);
  const written = entries("call.denied").length;
  // A minute may turn in between; then there are two shares.
  expect([5, 10]).toContain(written);
  expect(await gate.stop()).toBe(0);
  const counted = shed().filter(({ reason }) => reason === "action_not_found");
  expect(counted).toEqual([
    { peer: `principal:default:uid:${process.getuid?.()}`, reason: "action_not_found", count: 30 - written },
  ]);
});

test("failed authentication writes nothing at once and is counted by account and reason when the gate stops", async () => {
  await start();
  const agent = await WireAgent.connect(gate.clientSocket);
  const stranger = await freshKey();
  const path = "/v1/actions/fs_read/execute";
  const post = (headers: Record<string, string>) =>
    send(gate.clientSocket, { method: "POST", path, headers, body: '{"path":"src/a.txt"}' });
  for (let i = 0; i < 3; i++) expect((await post({})).body.error).toBe("missing_auth_header");
  for (let i = 0; i < 4; i++)
    expect((await post({ authorization: "DPoP not-a-lease", dpop: "x.y.z" })).body.error).toBe(
      "invalid_lease",
    );
  const forged = await post({
    authorization: `DPoP ${agent.lease}`,
    dpop: await proof(stranger, agent.lease, "POST", path),
  });
  expect(forged.body.error).toBe("invalid_dpop");
  const admin = await send(gate.adminSocket, { method: "POST", path: "/v1/admin/revoke-all" });
  expect([admin.status, admin.body.error]).toEqual([401, "unauthorized"]);
  expect(entries("call.denied")).toEqual([]);
  expect(await gate.stop()).toBe(0);
  const peer = `uid:${process.getuid?.()}`;
  // Three on the client socket, and the one on the admin socket.
  expect(shed()).toContainEqual({ peer, reason: "missing_auth_header", count: 4 });
  expect(shed()).toContainEqual({ peer, reason: "invalid_lease", count: 4 });
  expect(shed()).toContainEqual({ peer, reason: "invalid_dpop", count: 1 });
  expect(entries("revocation")).toEqual([]);
  const verified = await gate.run("verify", gate.ledger, "--trust", gate.fingerprint, "--json");
  expect(verified.code).toBe(0);
});

test("load that is shed is answered with when to come back, and counted", async () => {
  gate = await startGate({ config: "[rate_limits]\npeer_rps = 5", files: { "src/a.txt": "a" } });
  const agent = await WireAgent.connect(gate.clientSocket);
  const answers = await Promise.all(
    Array.from({ length: 40 }, () => agent.execute("fs_read", { path: "src/a.txt" })),
  );
  const turned = answers.filter(({ status }) => status === 429);
  expect(turned.length).toBeGreaterThan(10);
  for (const { body, headers } of turned) {
    expect(body).toMatchObject({ error: "rate_limited", message: expect.any(String) });
    expect(Number(headers["retry-after"])).toBeGreaterThan(0);
  }
  expect(await gate.stop()).toBe(0);
  const counted = shed().find(({ reason }) => reason === "rate_limited");
  expect(counted?.count).toBe(turned.length);
});

test("one lease has its own limit", async () => {
  gate = await startGate({
    config: "[rate_limits]\nexecute_rps_per_session = 3",
    files: { "src/a.txt": "a" },
  });
  const [busy, quiet] = [
    await WireAgent.connect(gate.clientSocket),
    await WireAgent.connect(gate.clientSocket),
  ];
  const answers = await Promise.all(
    Array.from({ length: 40 }, () => busy.execute("fs_read", { path: "src/a.txt" })),
  );
  const turned = answers.filter(({ status }) => status === 429);
  expect(turned.length).toBeGreaterThan(10);
  expect(turned[0]?.body.error).toBe("rate_limited");
  expect((await quiet.execute("fs_read", { path: "src/a.txt" })).status).toBe(200);
});
