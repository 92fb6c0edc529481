/** Calls in the runners of a real gate: together in them, and lost with one. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import { join } from "node:path";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { payloadOf, readRows } from "../ledger/forge.ts";
import { startUpstream } from "../upstream.ts";
import { WireAgent, type WireAnswer, WireOperator } from "../wire-client.ts";

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

/** A gate with room for one call that runs and one that waits, both taken; the upstream answers when it is told to. */
async function fullGate() {
  const held: (() => void)[] = [];
  const upstream = await startUpstream((request, response) => {
    request.resume();
    held.push(() => response.end("ok"));
  });
  const gate = await startGate({
    policy: openPolicy(),
    config: `[sandbox]\nrunners = 1\nmax_in_flight = 1\nqueue = 1\n${RATES}${upstream.setup.config}`,
    files: { "src/a.txt": "before", ...upstream.setup.files },
  });
  const url = upstream.url;
  const full = {
    gate,
    upstream,
    url,
    taken: [] as Promise<WireAnswer>[],
    /** Takes all the room there is: returns when one call has reached the upstream and one more has its grant. */
    async fill() {
      const agent = await WireAgent.connect(gate.clientSocket);
      full.taken.push(agent.execute("http_fetch", { url }));
      await upstream.arrived(1);
      full.taken.push(agent.execute("http_fetch", { url }));
      await grantsOf(gate, 2);
    },
    /** Lets both end. */
    async empty() {
      held[0]?.();
      await upstream.arrived(2);
      held[1]?.();
      for (const { status } of await Promise.all(full.taken)) expect(status).toBe(200);
    },
    /** Answers whatever comes from now on. */
    answerNext: async (count: number) => {
      await upstream.arrived(count);
      held[count - 1]?.();
    },
    async [Symbol.asyncDispose]() {
      await gate[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
  return full;
}

/** Waits until the ledger has as many grants. */
async function grantsOf(gate: GateProcess, count: number): Promise<void> {
  while (entriesOf(gate, "call.granted").length < count) await Bun.sleep(5);
}

const entriesOf = (gate: GateProcess, type: string) =>
  readRows(gate.ledger)
    .map(payloadOf)
    .filter((payload) => payload.type === type);

test("more calls than there is room for: refused before they are granted, and when to come again", async () => {
  await using full = await fullGate();
  const { gate, url } = full;
  await full.fill();
  const agent = await WireAgent.connect(gate.clientSocket, { maxCalls: 1 });
  const key = { "idempotency-key": "once" };
  const post = () => agent.execute("http_fetch", { url }, key);
  for (let again = 0; again < 3; again++) {
    const refused = await post();
    expect([refused.status, refused.body.error, refused.headers["retry-after"]]).toEqual([
      503,
      "overloaded",
      "1",
    ]);
    expect(refused.body.receipt_id).toBeUndefined();
  }
  expect(entriesOf(gate, "call.granted")).toHaveLength(2);
  expect(entriesOf(gate, "call.denied")).toMatchObject(
    Array(3).fill({ code: "overloaded", status: 503, decision: "error" }),
  );
  await full.empty();
  // Neither the key nor the one call that the budget has was used up.
  const later = post();
  await full.answerNext(3);
  expect((await later).body).toMatchObject({ decision: "executed", dispatched: "yes" });
  expect((await post()).body).toMatchObject({ decision: "executed", replayed: true });
  expect(full.upstream.requests).toHaveLength(3);
  const over = await agent.execute("http_fetch", { url });
  expect(over.body).toMatchObject({ deny_reason: "budget exhausted" });
  expect(await gate.stop()).toBe(0);
  expect((await gate.run("verify", gate.ledger, "--strict")).code).toBe(0);
}, 60_000);

test("an approval for which there is no room is not taken: the call stays held, and can be approved later", async () => {
  await using full = await fullGate();
  const { gate } = full;
  const agent = await WireAgent.connect(gate.clientSocket);
  const operator = await WireOperator.of(gate);
  const held = await agent.execute("fs_write", { path: "src/a.txt", content: "after" });
  expect(held.status).toBe(202);
  await full.fill();
  const refused = await operator.approve(held.body.approval_id);
  expect([refused.status, refused.body.error, refused.headers["retry-after"]]).toEqual([
    503,
    "overloaded",
    "1",
  ]);
  expect(entriesOf(gate, "approval.decided")).toEqual([]);
  // No needs no room.
  const other = await agent.execute("fs_write", { path: "src/a.txt", content: "never" });
  expect((await operator.deny(other.body.approval_id)).status).toBe(200);
  await full.empty();
  expect((await operator.approve(held.body.approval_id)).body).toMatchObject({ confirmed: true });
  expect(readFileSync(join(gate.root, "src/a.txt"), "utf8")).toBe("after");
  expect(entriesOf(gate, "approval.decided")).toHaveLength(2);
}, 60_000);

test("many calls at once for little room: each is done once or refused, and what was refused was never granted", async () => {
  await using upstream = await startUpstream();
  await using gate = await startGate({
    policy: openPolicy(),
    config: `[sandbox]\nrunners = 1\nmax_in_flight = 2\nqueue = 3\n${RATES}${upstream.setup.config}`,
    files: upstream.setup.files,
  });
  const agent = await WireAgent.connect(gate.clientSocket);
  const answers = await Promise.all(
    Array.from({ length: 60 }, () => agent.execute("http_fetch", { url: upstream.url })),
  );
  const done = answers.filter(({ status }) => status === 200).length;
  const refused = answers.filter(({ status, body }) => status === 503 && body.error === "overloaded").length;
  expect([done + refused, done >= 5]).toEqual([60, true]);
  expect(upstream.requests).toHaveLength(done);
  expect(entriesOf(gate, "call.granted")).toHaveLength(done);
  expect(entriesOf(gate, "call.receipt").map(({ error }) => error)).toEqual(Array(done).fill(null));
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
