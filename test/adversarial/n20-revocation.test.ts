import { expect, test } from "bun:test";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { payloadOf, readRows } from "../ledger/forge.ts";
import { silent, startUpstream } from "../upstream.ts";
import { WireAgent, type WireAnswer, WireOperator } from "../wire-client.ts";

const revokeAll = async (gate: GateProcess): Promise<WireAnswer> =>
  (await WireOperator.of(gate)).call("POST", "/v1/admin/revoke-all");

async function isIntact(gate: GateProcess): Promise<void> {
  const { code, stdout } = await gate.run("verify", gate.ledger, "--trust", gate.fingerprint, "--strict");
  expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining("intact") });
}

test("a revoked lease reads and does nothing, before and after a restart; a new one works", async () => {
  const files = { "README.md": "# hello\n" };
  const gate = await startGate({ policy: openPolicy(), files });
  const agent = await WireAgent.connect(gate.clientSocket);
  expect((await agent.execute("fs_read", { path: "README.md" })).status).toBe(200);
  const done = (await agent.execute("fs_read", { path: "README.md" })).body;
  expect((await revokeAll(gate)).body).toMatchObject({ previous_epoch: 0, current_epoch: 1 });
  const refused = async () => {
    expect((await agent.execute("fs_read", { path: "README.md" })).status).toBe(401);
    expect((await agent.receipt(done.receipt_id)).status).toBe(401);
  };
  await refused();
  await gate.kill();
  const restarted = await gate.restart();
  try {
    await refused();
    const operator = await WireOperator.of(restarted);
    expect((await operator.call("GET", "/v1/admin/epoch")).body).toEqual({ current_epoch: 1 });
    const fresh = await WireAgent.connect(restarted.clientSocket, { key: agent.key });
    expect((await fresh.execute("fs_read", { path: "README.md" })).status).toBe(200);
    await isIntact(restarted);
  } finally {
    await restarted[Symbol.asyncDispose]();
  }
});

test("a held call ends with the revocation: nobody can approve it any more, then or after a restart", async () => {
  const gate = await startGate({ policy: openPolicy(), files: { "src/a.txt": "old" } });
  const agent = await WireAgent.connect(gate.clientSocket);
  const held = (await agent.execute("fs_write", { path: "src/a.txt", content: "new" })).body.approval_id;
  await revokeAll(gate);
  const stays = async (now: GateProcess) => {
    const answer = await (await WireOperator.of(now)).approve(held);
    expect(answer.body.decision).not.toBe("executed");
    const reader = await WireAgent.connect(now.clientSocket, { key: agent.key });
    expect((await reader.poll(held)).body).toMatchObject({ status: "failed", reason: "revoked" });
    expect(await Bun.file(`${gate.root}/src/a.txt`).text()).toBe("old");
  };
  await stays(gate);
  await gate.kill();
  const restarted = await gate.restart();
  try {
    await stays(restarted);
    await isIntact(restarted);
  } finally {
    await restarted[Symbol.asyncDispose]();
  }
});

test("running and queued calls stop: the upstream is cut off, nothing queued starts, each has its receipt", async () => {
  const closed: Promise<void>[] = [];
  await using upstream = await startUpstream((request, response) => {
    closed.push(new Promise((resolve) => request.socket.once("close", () => resolve())));
    silent(request, response);
  });
  await using gate = await startGate({
    policy: openPolicy(),
    ...upstream.setup,
    config: `${upstream.setup.config}\n[sandbox]\nrunners = 1\nmax_in_flight = 1\nqueue = 10\n`,
  });
  const agent = await WireAgent.connect(gate.clientSocket);
  const calls = [1, 2, 3].map(() => agent.execute("http_fetch", { url: upstream.url }));
  await upstream.arrived(1);
  const operator = await WireOperator.of(gate);
  // The others have their grants and wait for the one place that there is.
  for (let tries = 0; tries < 2000; tries++) {
    const { body } = await operator.call("GET", "/v1/admin/status");
    if (body.in_flight_executions === 3) break;
  }
  expect((await revokeAll(gate)).body).toMatchObject({ current_epoch: 1, calls_stopped: 3 });
  const answers = await Promise.all(calls);
  await Promise.all(closed);
  expect(answers.map((answer) => answer.status)).toEqual([502, 502, 502]);
  const receipts = await Promise.all(
    answers.map(async ({ body }) => (await operator.call("GET", `/v1/receipts/${body.receipt_id}`)).body),
  );
  expect(receipts.map(({ status }) => status).sort()).toEqual(["failed", "failed", "indeterminate"]);
  expect(upstream.requests).toHaveLength(1);
  const entries = readRows(gate.ledger).map(payloadOf);
  const revocation = entries.findIndex((entry) => entry.type === "revocation");
  expect(entries.slice(revocation).filter((entry) => entry.type === "call.granted")).toEqual([]);
  expect(entries.slice(revocation).filter((entry) => entry.type === "call.receipt")).toHaveLength(3);
  await isIntact(gate);
});
