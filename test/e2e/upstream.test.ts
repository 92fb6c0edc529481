import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createServer, type Server, type Socket } from "node:net";
import { httpText } from "../actions/manifests.ts";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { WireAgent, type WireAnswer, type WireBody, WireOperator } from "../wire-client.ts";
import { answer, localEgress, startUpstream, type Upstream, withUpstream } from "./upstream-server.ts";

/** Actions with a second to live, one per target that never comes to an end. */
const QUICK = ["quick", "mute", "refusing", "untrusted"];

let upstream: Upstream;
let stranger: Upstream;
let mute: Server;
let refusedPort: number;
const muted = new Set<Socket>();
let gate: GateProcess;
let operator: WireOperator;
let events = 0;

beforeAll(async () => {
  upstream = await startUpstream({
    "/error": (socket) => answer(socket, 500, '{"oops":true}'),
    "/redirect": (socket) => answer(socket, 302, "", ["location: https://api.test:1/elsewhere"]),
    "/silent": () => undefined,
    "/stalls": (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"),
    "/resets": (socket) =>
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", () => socket.destroy()),
    "/closes": (socket) => socket.end(),
    "/endless": (socket) => socket.write("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil the end"),
    "/nonsense": (socket) => socket.end("220 smtp.example ESMTP\r\n"),
    "/declares": (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n"),
    "/pours": (socket) => {
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
      const chunk = `10000\r\n${"a".repeat(0x10000)}\r\n`;
      for (let i = 0; i < 40; i++) socket.write(chunk);
    },
  });
  stranger = await startUpstream();
  mute = createServer((socket) => {
    muted.add(socket);
    socket.on("error", () => undefined);
  });
  const muteAt = await listen(mute);
  const gone = createServer();
  refusedPort = await listen(gone);
  await new Promise((closed) => gone.close(closed));
  const manifest = (id: string, port: number) =>
    httpText({
      id,
      params: { type: "object", required: ["path"], properties: { path: { type: "string" } } },
      http: { method: "POST", url: `https://${upstream.host}:${port}/{path}`, body: { json: { a: 1 } } },
      egress: { hosts: [{ host: upstream.host, ports: [port] }] },
      verify: { kind: "http" },
      limits: { timeout_s: 1, response_kb: 256 },
    });
  gate = await startGate(
    withUpstream(upstream, ["http_fetch", "http_post", "quick"], {
      policy: openPolicy(undefined, { actions: QUICK }),
      actions: {
        "quick.yaml": manifest("quick", upstream.port),
        "mute.yaml": manifest("mute", muteAt),
        "refusing.yaml": manifest("refusing", refusedPort),
        "untrusted.yaml": manifest("untrusted", stranger.port),
      },
      config: [
        localEgress("mute", muteAt, ["POST"]),
        localEgress("refusing", refusedPort, ["POST"]),
        localEgress("untrusted", stranger.port, ["POST"]),
      ].join("\n"),
    }),
  );
  operator = await WireOperator.of(gate);
});
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  for (const socket of muted) socket.destroy();
  await Promise.all([upstream.close(), stranger.close(), new Promise((closed) => mute.close(closed))]);
});

function listen(server: Server): Promise<number> {
  return new Promise((resolve) =>
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(address === null || typeof address === "string" ? 0 : address.port);
    }),
  );
}

interface Seen {
  readonly answer: WireAnswer;
  readonly receipt: WireBody;
  /** Calls that the session's budget of two has left for further ones. */
  readonly left: number;
}

/** One call of a session that may make two, its receipt, and how many it could make after. */
async function run(action: string, params: unknown): Promise<Seen> {
  const agent = await WireAgent.connect(gate.clientSocket, { maxCalls: 2 });
  const done = await agent.execute(action, params);
  const receipt = await agent.receipt(done.body.receipt_id);
  expect(receipt.status).toBe(200);
  expect(receipt.body).toMatchObject({ signature_status: "valid", grant_id: done.body.grant_id });
  const about = await operator.call("GET", `/v1/audit/events?session_id=${agent.session}&limit=50`);
  const kinds = about.body.events.map((event: WireBody) => event.type).reverse();
  expect(kinds).toEqual(["lease.issued", "call.granted", "call.receipt"]);
  let left = 0;
  while ((await agent.execute("http_fetch", { url: `${upstream.origin}/fine` })).status === 200) left++;
  events++;
  return { answer: done, receipt: receipt.body, left };
}

describe("failed is said only where no byte of the request can have left, and only then the call is given back", () => {
  test.each([
    ["a port that refuses", "refusing", "connect_failed"],
    ["a handshake that never ends", "mute", "deadline"],
    ["a certificate from another authority", "untrusted", "tls_failed"],
  ])("%s: failed", async (_what, action, code) => {
    const before = upstream.requests.length + stranger.requests.length;
    const { answer: got, receipt, left } = await run(action, { path: "x" });
    expect(got.status).toBe(502);
    expect(got.body).toMatchObject({
      error: "action_execution_failed",
      status: "failed",
      dispatched: "no",
      confirmed: false,
      failure: code,
    });
    expect(receipt).toMatchObject({ status: "failed", failure_class: "provider_error" });
    const [effect, ...more] = receipt.effect_evidence;
    expect(more).toEqual([]);
    expect(effect).toMatchObject({ kind: "http", reached: "none", status: null });
    // At the deadline either the door's clock or the runner's is first; the door then says that it was closed.
    expect(code === "deadline" ? ["deadline", "cancelled"] : [code]).toContain(effect.error);
    expect(left).toBe(2);
    expect(stranger.requests.length).toBe(0);
    expect(upstream.requests.length).toBe(before + 2);
  });
});

describe("once a byte may have left, the receipt says how far it got and the call is spent", () => {
  test.each([
    ["no answer", "silent", "timed_out", "deadline", null],
    ["a body that stalls", "stalls", "timed_out", "deadline", 200],
    ["a connection that breaks in the body", "resets", "indeterminate", "connection_reset", 200],
    ["a connection that closes without an answer", "closes", "indeterminate", "connection_reset", null],
    ["a body without a length", "endless", "indeterminate", "malformed_response", 200],
    ["an answer that is no http", "nonsense", "indeterminate", "malformed_response", null],
    ["a declared length over the limit", "declares", "indeterminate", "response_too_large", 200],
    ["a body over the limit", "pours", "indeterminate", "response_too_large", 200],
  ])("%s: %s is %s", async (_what, path, status, code, seen) => {
    const before = upstream.requests.length;
    const { answer: got, receipt, left } = await run("quick", { path });
    expect(got.status).toBe(502);
    expect(got.body).toMatchObject({
      error: "action_execution_failed",
      status,
      dispatched: "unknown",
      failure: code,
    });
    expect(receipt.status).toBe(status);
    const [effect, ...more] = receipt.effect_evidence;
    expect(more).toEqual([]);
    expect(effect).toMatchObject({ reached: "maybe", status: seen, response: null });
    // At the deadline either the door's clock or the runner's is first; the door then says that it was closed.
    expect(code === "deadline" ? ["deadline", "cancelled"] : [code]).toContain(effect.error);
    expect(receipt.provider_receipt).toBeNull();
    expect(left).toBe(1);
    expect(upstream.requests.length).toBe(before + 2);
  });
});

describe("an answer that came in full is an effect, whatever it says", () => {
  test("a server error is dispatched, confirmed, and not what was expected", async () => {
    const {
      answer: got,
      receipt,
      left,
    } = await run("http_post", { url: `${upstream.origin}/error`, body: 1 });
    expect(got.status).toBe(200);
    expect(got.body).toMatchObject({
      decision: "executed",
      status: "verification_failed",
      dispatched: "yes",
      confirmed: true,
      output: { ok: false, status: 500, json: { oops: true } },
      verification: { outcome: "verification_failed", is_fully_successful: false },
    });
    expect(receipt).toMatchObject({ status: "verification_failed", failure_class: "verification_failed" });
    expect(receipt.effect_evidence).toMatchObject([{ reached: "confirmed", status: 500, error: null }]);
    expect(left).toBe(1);
  });

  test("a redirect is an answer and is not followed", async () => {
    const before = upstream.requests.length;
    const { answer: got, left } = await run("http_fetch", { url: `${upstream.origin}/redirect` });
    expect(got.body).toMatchObject({
      status: "verification_failed",
      output: { status: 302, headers: { location: "https://api.test:1/elsewhere" } },
    });
    expect(left).toBe(1);
    expect(upstream.requests.length).toBe(before + 2);
  });
});

test("every one of these receipts stands in a log that verifies", async () => {
  const checked = await operator.call("GET", "/v1/audit/verify");
  expect(checked.body).toMatchObject({ intact: true, broken_at: null });
  expect(checked.body.total_events).toBeGreaterThan(events * 5);
});
