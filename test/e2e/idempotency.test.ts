import { afterEach, beforeEach, expect, test } from "bun:test";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";
import { answer, startUpstream, type Upstream, withUpstream } from "./upstream-server.ts";

let upstream: Upstream;
let gate: GateProcess;
let agent: WireAgent;
/** Answers of `/gated` wait for this. */
let open: Promise<void>;
let release: () => void;

beforeEach(async () => {
  ({ promise: open, resolve: release } = Promise.withResolvers<void>());
  upstream = await startUpstream({
    "/gated": (socket) => void open.then(() => answer(socket, 200, '{"gated":true}')),
    "/error": (socket) => answer(socket, 500, "{}"),
  });
  gate = await startGate(withUpstream(upstream, ["http_post", "http_delete"], { policy: openPolicy() }));
  agent = await WireAgent.connect(gate.clientSocket);
});
afterEach(async () => {
  release();
  await gate[Symbol.asyncDispose]();
  await upstream.close();
});

const call = (path: string, key: string, body: unknown = 1, who: WireAgent = agent) =>
  who.execute("http_post", { url: upstream.origin + path, body }, { "idempotency-key": key });

test("the same key and body get the same receipt, and the upstream sees one request", async () => {
  const first = await call("/x", "k1");
  const second = await call("/x", "k1");
  expect(second.status).toBe(200);
  expect(second.body).toEqual({ ...first.body, replayed: true, runtime: expect.anything() });
  expect(upstream.requests.length).toBe(1);
  const third = await call("/x", "k2");
  expect(third.body.receipt_id).not.toBe(first.body.receipt_id);
  expect(upstream.requests.length).toBe(2);
});

test("without a key each call is one of its own", async () => {
  const params = { url: `${upstream.origin}/x`, body: 1 };
  await agent.execute("http_post", params);
  await agent.execute("http_post", params);
  expect(upstream.requests.length).toBe(2);
});

test("the body counts as it means, not as it is written", async () => {
  await call("/x", "k", { a: 1, b: 2 });
  const again = await agent.call(
    "POST",
    "/v1/actions/http_post/execute",
    `{ "body": {"b": 2.0, "a": 1}, "url": "${upstream.origin}/x" }`,
    { "idempotency-key": "k" },
  );
  expect(again.body).toMatchObject({ decision: "executed", replayed: true });
  expect(upstream.requests.length).toBe(1);
});

test("the key with another body, or another action, is refused", async () => {
  await call("/x", "k");
  const other = await call("/x", "k", 2);
  expect([other.status, other.body.error]).toEqual([409, "idempotency_key_reused"]);
  const action = await agent.execute(
    "http_delete",
    { url: `${upstream.origin}/x` },
    { "idempotency-key": "k" },
  );
  expect([action.status, action.body.error]).toEqual([409, "idempotency_key_reused"]);
  expect(upstream.requests.length).toBe(1);
});

test("a key that is not one value of visible ascii is refused", async () => {
  for (const key of ["", "a b", "k".repeat(256)]) expect((await call("/x", key)).status).toBe(400);
  expect(upstream.requests.length).toBe(0);
});

test("while the first is under way, the second is told so; then it gets the result", async () => {
  const first = call("/gated", "k");
  await upstream.arrived(1);
  const meanwhile = await call("/gated", "k");
  expect([meanwhile.status, meanwhile.body.error]).toEqual([409, "idempotency_in_flight"]);
  expect(meanwhile.headers["retry-after"]).toBe("1");
  release();
  const done = await first;
  const after = await call("/gated", "k");
  expect(after.body).toMatchObject({ replayed: true, receipt_id: done.body.receipt_id });
  expect(upstream.requests.length).toBe(1);
});

test("20 at once with one key are one effect", async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, () => call("/x", "k")));
  expect(upstream.requests.length).toBe(1);
  const done = answers.filter(({ status }) => status === 200);
  const rest = answers.filter(({ status }) => status !== 200);
  expect(done.length).toBeGreaterThanOrEqual(1);
  expect(new Set(done.map(({ body }) => body.receipt_id)).size).toBe(1);
  expect(rest.every(({ body }) => body.error === "idempotency_in_flight")).toBe(true);
});

test("a result is remembered across a restart, for every lease of the principal", async () => {
  const first = await call("/x", "k");
  expect(await gate.stop()).toBe(0);
  gate = await gate.restart();
  const fresh = await WireAgent.connect(gate.clientSocket);
  const second = await call("/x", "k", 1, fresh);
  expect(second.body).toMatchObject({
    replayed: true,
    receipt_id: first.body.receipt_id,
    output: first.body.output,
  });
  expect(upstream.requests.length).toBe(1);
});

test("a call that a crash cut off is never sent again under its key", async () => {
  const first = call("/gated", "k").catch(() => null);
  await upstream.arrived(1);
  await gate.kill();
  await first;
  gate = await gate.restart();
  const again = await call("/gated", "k", 1, await WireAgent.connect(gate.clientSocket));
  expect(again.status).toBe(502);
  expect(again.body).toMatchObject({
    status: "indeterminate",
    dispatched: "unknown",
    failure: "gate_restarted",
  });
  expect(upstream.requests.length).toBe(1);
});

test("an end that was no success is remembered as it was", async () => {
  const first = await call("/error", "k");
  expect(first.body.status).toBe("verification_failed");
  const second = await call("/error", "k");
  expect(second.body).toMatchObject({ status: "verification_failed", receipt_id: first.body.receipt_id });
  expect(upstream.requests.length).toBe(1);
});

test("a held call is held once; after its approval the key gives its result", async () => {
  const ask = () =>
    agent.execute("http_delete", { url: `${upstream.origin}/x` }, { "idempotency-key": "held" });
  const crowd = await Promise.all(Array.from({ length: 10 }, ask));
  const ids = new Set(crowd.filter(({ status }) => status === 202).map(({ body }) => body.approval_id));
  expect(ids.size).toBe(1);
  const [id = ""] = ids;
  expect((await ask()).body).toMatchObject({ decision: "pending_approval", approval_id: id, replayed: true });
  const operator = await WireOperator.of(gate);
  const approved = await operator.approve(id);
  const after = await ask();
  expect(after.body).toMatchObject({
    decision: "executed",
    replayed: true,
    receipt_id: approved.body.receipt_id,
  });
  expect(upstream.requests.length).toBe(1);
});

test("a denied call stays denied under its key", async () => {
  const ask = () =>
    agent.execute("http_delete", { url: `${upstream.origin}/x` }, { "idempotency-key": "no" });
  const held = await ask();
  const operator = await WireOperator.of(gate);
  await operator.deny(held.body.approval_id, "not today");
  const again = await ask();
  expect([again.status, again.body.error]).toEqual([403, "approval_denied"]);
  expect(upstream.requests.length).toBe(0);
});
