/** Calls in the runners of a real gate: together in them, and lost with one. */
import { expect, test } from "bun:test";
import type { RequestListener } from "node:http";
import { openPolicy, startGate } from "../gate-process.ts";
import { payloadOf, readRows } from "../ledger/forge.ts";
import { startUpstream } from "../upstream.ts";
import { WireAgent } from "../wire-client.ts";

const TOGETHER = 64;
const RATES = "[rate_limits]\npeer_rps = 10000\nexecute_rps_per_session = 10000\n";

/** Answers nobody until so many requests are there, then all of them. */
function barrier(count: number): RequestListener {
  const waiting: (() => void)[] = [];
  return (request, response) => {
    request.resume();
    waiting.push(() => response.end("ok"));
    if (waiting.length === count) for (const release of waiting) release();
  };
}

test("64 calls wait for an upstream together: it answers none of them before it has all", async () => {
  await using upstream = await startUpstream(barrier(TOGETHER));
  await using gate = await startGate({
    policy: openPolicy(),
    config: `${RATES}${upstream.setup.config}`,
    files: upstream.setup.files,
  });
  const agent = await WireAgent.connect(gate.clientSocket);
  const answers = await Promise.all(
    Array.from({ length: TOGETHER }, () => agent.execute("http_fetch", { url: upstream.url })),
  );
  expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: TOGETHER }, () => 200));
}, 60_000);

test("more calls than there is room for: those above are told so, and when to come again", async () => {
  const held: (() => void)[] = [];
  await using upstream = await startUpstream((request, response) => {
    request.resume();
    held.push(() => response.end("ok"));
  });
  await using gate = await startGate({
    policy: openPolicy(),
    config: `[sandbox]\nrunners = 1\nmax_in_flight = 1\nqueue = 1\n${RATES}${upstream.setup.config}`,
    files: upstream.setup.files,
  });
  const agent = await WireAgent.connect(gate.clientSocket);
  const fetch = () => agent.execute("http_fetch", { url: upstream.url });
  const first = fetch();
  await upstream.arrived(1);
  const others = [fetch(), fetch()];
  const refused = await Promise.race(others);
  expect([refused.status, refused.body.error, refused.headers["retry-after"]]).toEqual([
    503,
    "overloaded",
    "1",
  ]);
  expect(refused.body).toMatchObject({ status: "failed", dispatched: "no", failure: "overloaded" });
  held[0]?.();
  expect((await first).status).toBe(200);
  await upstream.arrived(2);
  held[1]?.();
  expect((await Promise.all(others)).map(({ status }) => status).sort()).toEqual([200, 503]);
}, 60_000);

test("a runner that is killed in a call: its receipt says what may have happened, and nothing is done twice", async () => {
  await using upstream = await startUpstream((request) => {
    request.resume();
  });
  await using gate = await startGate({
    policy: openPolicy(),
    config: upstream.setup.config,
    files: { "README.md": "# hello\n", ...upstream.setup.files },
  });
  const agent = await WireAgent.connect(gate.clientSocket);
  const answer = agent.execute("http_post", { url: upstream.url, body: { n: 1 } });
  await upstream.arrived(1);
  const { runners } = JSON.parse((await gate.run("status", "--json")).stdout) as {
    runners: { pid: number; in_flight: number }[];
  };
  const busy = runners.filter(({ in_flight }) => in_flight === 1);
  expect(busy).toHaveLength(1);
  process.kill(busy[0]?.pid ?? 0, "SIGKILL");
  const { status, body } = await answer;
  expect(status).toBe(502);
  expect(body).toMatchObject({
    status: "indeterminate",
    dispatched: "unknown",
    confirmed: false,
    failure: "runner_lost",
  });
  // The next call finds a runner, and the file alone tells what became of the lost one.
  expect((await agent.execute("fs_read", { path: "README.md" })).status).toBe(200);
  expect(gate.stderr()).toContain("a runner ended: ");
  expect(upstream.requests).toHaveLength(1);
  expect(await gate.stop()).toBe(0);
  const receipt = readRows(gate.ledger)
    .map(payloadOf)
    .find(({ type, error }) => type === "call.receipt" && error === "runner_lost");
  expect(receipt).toMatchObject({
    receipt_id: body.receipt_id,
    status: "indeterminate",
    dispatched: "unknown",
  });
  expect(receipt?.effects).toHaveLength(1);
  expect((await gate.run("verify", gate.ledger, "--strict")).code).toBe(0);
}, 60_000);
