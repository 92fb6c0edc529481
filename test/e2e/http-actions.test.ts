import { afterAll, beforeAll, expect, test } from "bun:test";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";
import { answer, startUpstream, type Upstream, withUpstream } from "./upstream-server.ts";

const ACTIONS = ["http_fetch", "http_post", "http_put", "http_delete", "web_read"];
const ACCEPT = "application/json, text/*;q=0.9, */*;q=0.1";

let upstream: Upstream;
let gate: GateProcess;
let agent: WireAgent;
let operator: WireOperator;

beforeAll(async () => {
  upstream = await startUpstream({
    "/json": (socket) =>
      answer(socket, 200, '{"name":"a","list":[1,2]}', [
        "Content-Type: application/json; charset=utf-8",
        'ETag: "v1"',
        "Set-Cookie: session=stolen",
        "X-Internal: 10.0.0.7",
      ]),
    "/page": (socket) =>
      answer(socket, 200, "<h1>caf\u00e9</h1>", ["content-type: text/html; charset=utf-8"]),
    "/bytes": (socket) =>
      answer(socket, 200, Uint8Array.of(0, 255, 254), ["content-type: application/octet-stream"]),
    "/ambiguous": (socket) => answer(socket, 200, '{"a":1,"a":2}'),
    "/gone": (socket) => answer(socket, 204, "", []),
  });
  gate = await startGate(withUpstream(upstream, ACTIONS, { policy: openPolicy() }));
  agent = await WireAgent.connect(gate.clientSocket);
  operator = await WireOperator.of(gate);
});
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  await upstream.close();
});

const last = () => {
  const request = upstream.requests.at(-1);
  if (request === undefined) throw new Error("no request arrived");
  return request;
};

test("http_fetch sends one GET as planned, and shows what its manifest shows", async () => {
  const done = await agent.execute("http_fetch", { url: `${upstream.origin}/json?q=a%20b#part` });
  expect(done.status).toBe(200);
  expect(last().raw.toString("latin1").split("\r\n")).toEqual([
    "GET /json?q=a%20b HTTP/1.1",
    `host: ${upstream.host}:${upstream.port}`,
    `accept: ${ACCEPT}`,
    "user-agent: LatchGate",
    "accept-encoding: identity",
    "Connection: keep-alive",
    "",
    "",
  ]);
  expect(done.body.output).toEqual({
    ok: true,
    status: 200,
    headers: { "content-type": "application/json; charset=utf-8", etag: '"v1"' },
    json: { name: "a", list: [1, 2] },
  });
  expect(done.body).toMatchObject({ status: "executed", dispatched: "yes", confirmed: true });
});

test("a body is text, base64, or json that every reader understands alike", async () => {
  const output = async (path: string) =>
    (await agent.execute("http_fetch", { url: upstream.origin + path })).body.output;
  expect(await output("/page")).toMatchObject({ text: "<h1>caf\u00e9</h1>" });
  expect(await output("/bytes")).toMatchObject({ base64: "AP/+" });
  expect(await output("/ambiguous")).toMatchObject({ text: '{"a":1,"a":2}' });
});

test.each([
  ["http_post", "POST"],
  ["http_put", "PUT"],
])("%s sends its body as canonical json, once", async (action, method) => {
  const before = upstream.requests.length;
  const body = { text: 'quote " and \u20ac', list: [1, null, true], nested: { b: 2, a: 1 } };
  const done = await agent.execute(action, { url: `${upstream.origin}/items`, body });
  expect(done.body).toMatchObject({
    decision: "executed",
    output: { ok: true, status: 200, json: { ok: true } },
  });
  expect(upstream.requests.length).toBe(before + 1);
  const sent = last();
  expect([sent.method, sent.target]).toEqual([method, "/items"]);
  expect(JSON.parse(sent.body.toString())).toEqual(body);
  expect(Object.fromEntries(sent.headers)).toMatchObject({
    "content-type": "application/json",
    "content-length": String(sent.body.length),
    accept: ACCEPT,
  });
});

test("a body that is a text is sent as a json string, never as the json that it spells", async () => {
  await agent.execute("http_post", { url: `${upstream.origin}/items`, body: '{"admin":true}' });
  expect(last().body.toString()).toBe('"{\\"admin\\":true}"');
});

test("http_delete is held for its risk; approved, it sends one DELETE without a body", async () => {
  const before = upstream.requests.length;
  const held = await agent.execute("http_delete", { url: `${upstream.origin}/gone` });
  expect(held.status).toBe(202);
  expect(held.body.reasons).toEqual([{ code: "risk", text: "risk high needs approval" }]);
  expect(upstream.requests.length).toBe(before);
  const approved = await operator.approve(held.body.approval_id);
  expect(approved.body).toMatchObject({ decision: "executed", output: { ok: true, status: 204 } });
  expect(upstream.requests.length).toBe(before + 1);
  expect(last().raw.toString("latin1")).toStartWith("DELETE /gone HTTP/1.1\r\n");
  expect(last().body.length).toBe(0);
});

test("web_read asks for a page as text", async () => {
  const done = await agent.execute("web_read", { url: `${upstream.origin}/page` });
  expect(done.body.output).toMatchObject({ ok: true, status: 200, text: "<h1>caf\u00e9</h1>" });
  expect(Object.fromEntries(last().headers).accept).toStartWith("text/html");
});

test("a host that nobody listed is held, and the approver is told which", async () => {
  const held = await agent.execute("http_fetch", { url: "https://unlisted.example/data?x=1" });
  expect(held.status).toBe(202);
  expect(held.body.reasons).toEqual([
    { code: "unresolved_host", text: "unresolved hosts: unlisted.example" },
  ]);
  const shown = await operator.call("GET", `/v1/approvals/${held.body.approval_id}`);
  expect(shown.body).toMatchObject({
    status: "pending",
    unresolved_domains: ["unlisted.example"],
    plan: { kind: "http", method: "GET", url: "https://unlisted.example/data?x=1" },
  });
  await operator.deny(held.body.approval_id);
});

test.each([
  "https://127.0.0.1/",
  "https://[::1]/",
  "https://10.1.2.3/",
  "https://169.254.169.254/latest/meta-data/",
  "https://[::ffff:127.0.0.1]/",
  "https://0x7f000001/",
])("a private address without an entry gets nothing, even approved: %s", async (url) => {
  const asked = await agent.execute("http_fetch", { url });
  expect(asked.status).toBe(202);
  const approved = await operator.approve(asked.body.approval_id);
  expect(approved.status).toBe(502);
  expect(approved.body).toMatchObject({ status: "failed", dispatched: "no", failure: "address_not_public" });
});

test("an entry is for its action, host and port alone", async () => {
  const other = await agent.execute("http_fetch", {
    url: `https://${upstream.host}:${upstream.port + 1}/json`,
  });
  expect(other.status).toBe(202);
  const before = upstream.requests.length;
  const approved = await operator.approve(other.body.approval_id);
  expect(approved.body).toMatchObject({ status: "failed", failure: "port_not_allowed" });
  expect(upstream.requests.length).toBe(before);
});

test.each([
  ["plain http", "http://api.example.org/"],
  ["user information", "https://user:secret@api.github.com/"],
  ["no url at all", "not a url"],
])("%s is refused before anybody is asked", async (_what, url) => {
  const refused = await agent.execute("http_fetch", { url });
  expect([403, 422]).toContain(refused.status);
  expect(refused.body).toMatchObject({ error: expect.any(String), message: expect.any(String) });
});
