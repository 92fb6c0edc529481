import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { HttpEffect } from "../../src/core/effect.ts";
import type { HostCall } from "../../src/core/host-call.ts";
import type { EnvelopePlan } from "../../src/core/plan.ts";
import type { SecretBinding } from "../../src/core/secret-binding.ts";
import { createHost, type Host, type HostOptions } from "../../src/host/index.ts";
import { issue, makeAuthority } from "../certificates.ts";
import { type Origin, startOrigin, startPlainOrigin } from "./origin.ts";
import { doorRequest, envelopePlan, LIMITS } from "./plans.ts";
import { TableSource } from "./secrets.ts";

const PUBLIC = "93.184.215.14";
const KEY = "key_0123456789abcdef";
const OTHER = "other_fedcba98765432";
const authority = makeAuthority("envelope authority");
const arrived: {
  readonly line: string;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}[] = [];
/** What every host says, whatever it is asked. */
let reply: (host: string) => { readonly status?: number; readonly body?: string; readonly location?: string };
let origin: Origin;

beforeAll(async () => {
  const names = ["api.example.com", "files.example.com", "a.b.example.org"];
  origin = await startOrigin(issue(authority, { names }), (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", async () => {
      const { host = "" } = request.headers;
      const line = `${request.method} ${host}${request.url}`;
      arrived.push({ line, headers: request.headers, body: Buffer.concat(chunks).toString() });
      const { status = 200, body = "fine", location } = reply(host);
      response.writeHead(status, { "content-encoding": "gzip", ...(location ? { location } : {}) });
      response.end(await promisify(gzip)(body));
    });
  });
});
afterAll(() => origin.close());
beforeEach(() => {
  arrived.length = 0;
  reply = () => ({});
});

function openHost(options: HostOptions = {}): Host {
  return createHost({
    authorities: [authority.certificate],
    ...options,
    testing: {
      resolve: async () => [{ address: PUBLIC, ttl: 60 }],
      dial: () => ({ address: "127.0.0.1", port: origin.port }),
      ...options.testing,
    },
  });
}

const host = openHost();
afterAll(() => host.close());

const asking = (
  url: string,
  changes: Partial<Extract<HostCall, { kind: "http.request" }>> = {},
): HostCall => ({
  kind: "http.request",
  method: "GET",
  url,
  headers: [],
  body: null,
  timeoutMs: 0,
  ...changes,
});

const PLAN = envelopePlan({
  targets: [
    { hosts: ["api.example.com"], methods: ["GET", "POST"], paths: ["/items", "/users/"], ports: [443] },
    { hosts: ["*.example.org"], methods: ["GET"], paths: ["/"], ports: [443, 8443] },
  ],
  calls: 4,
});

const bound = (secret: string, host: string, changes: Partial<SecretBinding> = {}): SecretBinding => ({
  secret,
  in: "header",
  name: "x-key",
  format: "{secret}",
  origin: `https://${host}`,
  required: true,
  ...changes,
});

async function told(plan: EnvelopePlan, call: HostCall, at: Host = host) {
  const door = at.door(doorRequest(plan));
  const answer = await door.call(call);
  await door.close();
  return { answer, effects: door.effects() as readonly HttpEffect[] };
}

test("each request inside is made, and told as one effect", async () => {
  const door = host.door(doorRequest(PLAN));
  const body = Buffer.from("{}");
  for (const call of [
    asking("https://api.example.com/items"),
    asking("https://API.example.com:443/items/7?a=%2F..%2F#there"),
    asking("https://api.example.com/users/ann", { method: "POST", body, headers: [["x-a", "1"]] }),
    asking("https://a.b.example.org/anything/"),
  ])
    expect(await door.call(call)).toMatchObject({ ok: { status: 200, body: Buffer.from("fine") } });
  await door.close();
  expect(arrived.map(({ line }) => line)).toEqual([
    "GET api.example.com/items",
    "GET api.example.com/items/7?a=%2F..%2F",
    "POST api.example.com/users/ann",
    "GET a.b.example.org/anything/",
  ]);
  expect(arrived.map(({ headers }) => headers["user-agent"])).toEqual(Array(4).fill("LatchGate"));
  expect(arrived[2]).toMatchObject({ body: "{}", headers: { "x-a": "1", "content-length": "2" } });
  expect(door.effects()).toHaveLength(4);
  for (const effect of door.effects()) expect(effect).toMatchObject({ reached: "confirmed", error: null });
});

test.each([
  ["another host", asking("https://evil.example/items"), "host_not_allowed"],
  ["the host above a wildcard", asking("https://example.org/"), "host_not_allowed"],
  ["a host that ends alike", asking("https://evilexample.org/"), "host_not_allowed"],
  ["an address", asking("https://93.184.215.14/items"), "host_not_allowed"],
  ["a look-alike", asking("https://аpi.example.com/items"), "host_not_allowed"],
  ["the host as user name", asking("https://api.example.com@evil.example/items"), "url_invalid"],
  ["a user name", asking("https://ann@api.example.com/items"), "url_invalid"],
  ["a backslash", asking("https://api.example.com\\@evil.example/items"), "url_invalid"],
  ["a line break", asking("https://api.example.com/items\r\nx: y"), "url_invalid"],
  ["no url", asking("/items"), "url_invalid"],
  ["a url that is too long", asking(`https://api.example.com/items/${"a".repeat(9000)}`), "url_invalid"],
  ["another scheme", asking("file:///etc/passwd"), "scheme_not_allowed"],
  ["plain http on the https port", asking("http://api.example.com:443/items"), "scheme_not_allowed"],
  ["plain http", asking("http://api.example.com/items"), "port_not_allowed"],
  ["another port", asking("https://api.example.com:8443/items"), "port_not_allowed"],
  ["another method", asking("https://api.example.com/items", { method: "DELETE" }), "operation_not_allowed"],
  [
    "a method of another target",
    asking("https://a.example.org/", { method: "POST" }),
    "operation_not_allowed",
  ],
  [
    "a method in lower case",
    asking("https://api.example.com/items", { method: "get" }),
    "operation_not_allowed",
  ],
  [
    "a method that nobody knows",
    asking("https://api.example.com/items", { method: "TRACE" }),
    "operation_not_allowed",
  ],
  [
    "a method with a break",
    asking("https://api.example.com/items", { method: "GET / HTTP/1.1\r\n" }),
    "operation_not_allowed",
  ],
  ["another path", asking("https://api.example.com/admin"), "path_not_allowed"],
  ["a path that begins alike", asking("https://api.example.com/itemsx"), "path_not_allowed"],
  ["what a slash excludes", asking("https://api.example.com/users"), "path_not_allowed"],
  ["dots that lead out", asking("https://api.example.com/items/../admin"), "path_not_allowed"],
  ["dots that lead back in", asking("https://api.example.com/x/../items"), "path_not_allowed"],
  ["encoded dots", asking("https://api.example.com/items/%2e%2e/items"), "path_not_allowed"],
  ["dots, encoded twice", asking("https://api.example.com/items/%252e%252e/admin"), "path_not_allowed"],
  ["dots with a parameter", asking("https://api.example.com/items/..;/admin"), "path_not_allowed"],
  ["an encoded slash", asking("https://api.example.com/items/..%2fadmin"), "path_not_allowed"],
  ["an empty segment", asking("https://api.example.com/items//admin"), "path_not_allowed"],
  [
    "a body where none belongs",
    asking("https://api.example.com/items", { body: Buffer.from("x") }),
    "invalid_content",
  ],
  [
    "a time limit that is none",
    asking("https://api.example.com/items", { timeoutMs: -1 }),
    "differs_from_plan",
  ],
  ["a file", { kind: "fs.read", path: "items" } as HostCall, "differs_from_plan"],
] as const)("%s is refused at the door", async (_what, call, code) => {
  const { answer, effects } = await told(PLAN, call);
  expect(answer).toEqual({ kind: call.kind, err: code });
  expect(effects).toMatchObject([
    { kind: "http", reached: "none", error: code, origin: "", target: "", requestHash: null },
  ]);
  expect(arrived).toEqual([]);
});

test.each([
  ["host", [["host", "evil.example"]]],
  ["a credential of its own", [["authorization", "Bearer mine"]]],
  ["framing", [["transfer-encoding", "chunked"]]],
  ["a method in disguise", [["x-http-method-override", "DELETE"]]],
  ["a name in upper case", [["X-A", "1"]]],
  ["a second header in a value", [["x-a", "1\r\nhost: evil.example"]]],
] as const)("a header that it may not set (%s) is refused, and nothing is sent", async (_what, headers) => {
  const { answer, effects } = await told(PLAN, asking("https://api.example.com/items", { headers }));
  expect(answer).toMatchObject({ err: "header_not_allowed" });
  expect(effects).toMatchObject([{ reached: "none", error: "header_not_allowed" }]);
  expect(arrived).toEqual([]);
});

test("a body and an answer above their limits are refused", async () => {
  const limits = { ...LIMITS, requestBytes: 8, responseBytes: 8 };
  reply = () => ({ body: "x".repeat(9) });
  const door = host.door(doorRequest(PLAN, { limits }));
  const call = { method: "POST", body: Buffer.alloc(9) };
  expect(await door.call(asking("https://api.example.com/items", call))).toMatchObject({
    err: "request_too_large",
  });
  expect(await door.call(asking("https://api.example.com/items"))).toMatchObject({
    err: "response_too_large",
  });
  await door.close();
});

test("calls are counted, refused ones too, and none goes beyond", async () => {
  const door = host.door(doorRequest({ ...PLAN, calls: 2 }));
  expect(await door.call(asking("https://evil.example/"))).toMatchObject({ err: "host_not_allowed" });
  expect(await door.call(asking("https://api.example.com/items"))).toMatchObject({ ok: { status: 200 } });
  for (let i = 0; i < 5; i++)
    expect(await door.call(asking("https://api.example.com/items"))).toMatchObject({
      err: "io_budget_exceeded",
    });
  await door.close();
  expect(arrived).toHaveLength(1);
  expect(door.effects().map(({ error }) => error)).toEqual(["host_not_allowed", null, "io_budget_exceeded"]);
});

test("a redirect is an answer, and what it names is judged like any other request", async () => {
  reply = () => ({ status: 302, location: "https://evil.example/" });
  const door = host.door(doorRequest({ ...PLAN, responseHeaders: ["location"] }));
  const answer = await door.call(asking("https://api.example.com/items"));
  expect(answer).toMatchObject({ ok: { status: 302, headers: [["location", "https://evil.example/"]] } });
  expect(await door.call(asking("https://evil.example/"))).toMatchObject({ err: "host_not_allowed" });
  await door.close();
  expect(arrived).toHaveLength(1);
});

const TWO = envelopePlan({
  targets: [
    { hosts: ["api.example.com", "files.example.com"], methods: ["GET"], paths: ["/"], ports: [443] },
  ],
  secrets: [
    bound("API_KEY", "api.example.com"),
    bound("FILES_KEY", "files.example.com", { in: "query", name: "key" }),
  ],
});

test("a credential arrives at its own host alone, and every answer is searched for all of them", async () => {
  reply = () => ({ body: `${KEY} ${OTHER}` });
  const source = new TableSource({ API_KEY: KEY, FILES_KEY: OTHER });
  await using keys = { host: openHost({ secrets: source }), [Symbol.asyncDispose]: () => keys.host.close() };
  const door = keys.host.door(doorRequest(TWO));
  for (const at of ["api.example.com", "files.example.com"]) {
    const answer = await door.call(asking(`https://${at}/`));
    if (!("ok" in answer) || !("body" in answer.ok)) throw new Error("no answer");
    const text = Buffer.from(answer.ok.body).toString();
    for (const value of [KEY, OTHER]) expect(text).not.toContain(value);
  }
  expect(arrived.map(({ line, headers }) => [line, headers["x-key"]])).toEqual([
    ["GET api.example.com/", KEY],
    [`GET files.example.com/?key=${OTHER}`, undefined],
  ]);
  expect(await door.scrub({ mine: [KEY, OTHER] })).not.toEqual({ mine: [KEY, OTHER] });
  expect(door.scrubLine(`${KEY}.${OTHER}`, false)).not.toMatch(/key_|other_/);
  const effects = door.effects() as readonly HttpEffect[];
  expect(effects.map(({ secrets, scrubbed }) => [secrets, scrubbed])).toEqual([
    [["API_KEY"], 2],
    [["FILES_KEY"], 2],
  ]);
  expect(door.redactions()).toBe(8);
  await door.close();
  expect(source.out.size).toBe(0);
  await expect(door.scrub({ mine: KEY })).rejects.toThrow("the credentials are gone");
});

test("a credential that is changed between two calls is looked for in both forms", async () => {
  const values: Record<string, string> = { API_KEY: KEY, FILES_KEY: OTHER };
  const source = new TableSource(values);
  await using keys = { host: openHost({ secrets: source }), [Symbol.asyncDispose]: () => keys.host.close() };
  const door = keys.host.door(doorRequest(TWO));
  await door.call(asking("https://api.example.com/"));
  values.API_KEY = "changed_0123456789";
  await door.call(asking("https://api.example.com/"));
  expect(arrived.map(({ headers }) => headers["x-key"])).toEqual([KEY, "changed_0123456789"]);
  const clean = JSON.stringify(await door.scrub(`${KEY} changed_0123456789`));
  expect(clean).not.toMatch(/key_0123|changed_/);
  await door.close();
});

test("the place of a credential is not the component's to fill", async () => {
  const source = new TableSource({ API_KEY: KEY, FILES_KEY: OTHER });
  await using keys = { host: openHost({ secrets: source }), [Symbol.asyncDispose]: () => keys.host.close() };
  for (const call of [
    asking("https://api.example.com/", { headers: [["x-key", "mine"]] }),
    asking("https://files.example.com/?key=mine"),
    asking("https://files.example.com/?a=b;k%65y=mine"),
  ]) {
    const { answer } = await told(TWO, call, keys.host);
    expect(answer).toMatchObject({ err: "header_not_allowed" });
  }
  expect(arrived).toEqual([]);
});

test("without a required credential no host is asked; an optional one that is not granted is left out", async () => {
  const source = new TableSource({ API_KEY: KEY });
  await using keys = { host: openHost({ secrets: source }), [Symbol.asyncDispose]: () => keys.host.close() };
  expect((await told(TWO, asking("https://api.example.com/"), keys.host)).answer).toMatchObject({
    err: "secret_missing",
  });
  expect(arrived).toEqual([]);
  const secrets = TWO.secrets.map((binding) => ({ ...binding, required: false }));
  const door = keys.host.door(doorRequest({ ...TWO, secrets }, { secrets: [] }));
  expect(await door.call(asking("https://api.example.com/"))).toMatchObject({ ok: { status: 200 } });
  await door.close();
  expect(arrived[0]?.headers["x-key"]).toBeUndefined();
});

test("plain http reaches what the configuration opens, below its prefix, and never a public address", async () => {
  const lines: string[] = [];
  const plain = await startPlainOrigin((socket, received) => {
    lines.push(received.split("\r\n", 1)[0] ?? "");
    socket.end("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  });
  const local = {
    action: "test_action",
    methods: ["GET"] as const,
    pathPrefix: "/open",
    host: "api.example.com",
    address: "127.0.0.1",
    port: plain.port,
    caFile: null,
  };
  const at = openHost({ localEgress: [local] });
  const targets = [
    { hosts: ["api.example.com"], methods: ["GET" as const], paths: ["/"], ports: [80, plain.port] },
  ];
  const opened = envelopePlan({
    targets,
    plain: [`http://api.example.com:${plain.port}`, "http://api.example.com"],
  });
  const closed = { ...opened, plain: [] };
  const url = `http://api.example.com:${plain.port}`;
  expect((await told(opened, asking(`${url}/open/x`), at)).answer).toMatchObject({ ok: { status: 200 } });
  expect((await told(closed, asking(`${url}/open/x`), at)).answer).toMatchObject({
    err: "scheme_not_allowed",
  });
  expect((await told(opened, asking(`${url}/shut`), at)).answer).toMatchObject({ err: "scheme_not_allowed" });
  expect((await told(opened, asking("http://api.example.com/open"), at)).answer).toMatchObject({
    err: "scheme_not_allowed",
  });
  expect(lines).toEqual(["GET /open/x HTTP/1.1"]);
  await at.close();
  await plain.close();
});

test("a private address is refused though its name lies inside", async () => {
  const at = openHost({ testing: { resolve: async () => [{ address: "10.0.0.1", ttl: 60 }] } });
  const { answer } = await told(PLAN, asking("https://api.example.com/items"), at);
  expect(answer).toMatchObject({ err: "address_not_public" });
  expect(arrived).toEqual([]);
  await at.close();
});
