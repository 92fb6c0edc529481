import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import type { HttpEffect, ObservedEffect } from "../../../src/core/effect.ts";
import type { HostAnswer, HttpAnswer } from "../../../src/core/host-call.ts";
import type { HttpPlan } from "../../../src/core/plan.ts";
import { HTTP_TIMEOUTS } from "../../../src/host/http/broker.ts";
import { createHost, type DoorRequest, type Host, type HostOptions } from "../../../src/host/index.ts";
import { issue, makeAuthority } from "../../certificates.ts";
import { answer, type Origin, startOrigin, startPlainOrigin, startRawOrigin } from "../origin.ts";
import { callFor, doorRequest, httpPlan, LIMITS } from "../plans.ts";

const PUBLIC = "93.184.215.14";
const authority = makeAuthority("origin authority");
const identity = issue(authority, { names: ["api.example.com"] });
const stops: (() => Promise<void>)[] = [];

afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
});

/** A host for which every name is the one public address, dialled at the given port of this machine. */
function hostFor(port: number, options: HostOptions = {}): Host {
  const host = createHost({
    authorities: [authority.certificate],
    ...options,
    testing: {
      resolve: async () => [{ address: PUBLIC, ttl: 60 }],
      dial: () => ({ address: "127.0.0.1", port }),
      ...options.testing,
    },
  });
  stops.push(() => host.close());
  return host;
}

async function kept(origin: Promise<Origin>): Promise<Origin> {
  const started = await origin;
  stops.push(started.close);
  return started;
}

interface Outcome {
  readonly answer: HostAnswer;
  readonly effect: HttpEffect;
}

async function perform(
  host: Host,
  plan: HttpPlan = httpPlan(),
  changes: Partial<DoorRequest> = {},
  timeoutMs = 0,
): Promise<Outcome> {
  const door = host.door(doorRequest(plan, changes));
  const call = callFor(plan);
  const answer = await door.call(call.kind === "http.request" ? { ...call, timeoutMs } : call);
  await door.close();
  const [effect, ...others] = door.effects();
  expect(others).toEqual([]);
  return { answer, effect: httpEffect(effect) };
}

function httpEffect(effect: ObservedEffect | undefined): HttpEffect {
  if (effect?.kind !== "http") throw new Error("no http effect");
  return effect;
}

function okOf(answer: HostAnswer): HttpAnswer {
  if ("ok" in answer && answer.kind === "http.request") return answer.ok;
  throw new Error(JSON.stringify(answer));
}

function sha256(text: string | Uint8Array): string {
  return createHash("sha256").update(text).digest("hex");
}

describe("a planned request", () => {
  const seen: { method: string; url: string; headers: string[]; body: string }[] = [];
  let origin: Origin;
  let host: Host;

  function serve(request: IncomingMessage, response: ServerResponse): void {
    let body = "";
    request.setEncoding("latin1").on("data", (chunk: string) => {
      body += chunk;
    });
    request.on("end", () => {
      seen.push({ method: request.method ?? "", url: request.url ?? "", headers: request.rawHeaders, body });
      if (request.url === "/failing") response.statusCode = 500;
      if (request.url === "/nothing") response.statusCode = 204;
      response.setHeader("content-type", "text/plain");
      response.end(request.url === "/nothing" ? undefined : "hello");
    });
  }

  beforeAll(async () => {
    origin = await kept(
      startOrigin(identity, (request, response) => {
        if (request.url === "/headers") {
          response.setHeader("set-cookie", ["a=1", "b=2"]);
          response.setHeader("x-shown", ["one", "two"]);
          response.setHeader("x-hidden", "no");
          response.setHeader("content-length", "2");
          response.end(Buffer.from([0x1f, 0x8b]));
        } else if (request.url === "/moved") {
          response.writeHead(302, { location: "http://169.254.169.254/latest", "content-length": "0" });
          response.end();
        } else serve(request, response);
      }),
    );
    host = hostFor(origin.port);
  });

  test("is sent as planned and its answer handed back", async () => {
    const body = Buffer.from('{"title":"caf\u00e9"}');
    const plan = httpPlan({
      method: "POST",
      headers: [
        ["accept", "application/json"],
        ["x-twice", "1"],
        ["x-twice", "2"],
      ],
      body,
    });
    const { answer, effect } = await perform(host, plan);
    const ok = okOf(answer);
    expect([ok.status, Buffer.from(ok.body).toString(), ok.headers]).toEqual([
      200,
      "hello",
      [["content-type", "text/plain"]],
    ]);
    const received = seen.at(-1);
    expect([received?.method, received?.url, received?.body]).toEqual([
      "POST",
      "/items?page=1",
      body.toString("latin1"),
    ]);
    expect(received?.headers.map((text) => text.toLowerCase())).toEqual([
      ...["host", "api.example.com", "accept", "application/json", "x-twice", "1", "x-twice", "2"],
      ...["accept-encoding", "identity", "content-length", String(body.length), "connection", "keep-alive"],
    ]);
    expect(effect).toEqual({
      kind: "http",
      purpose: "effect",
      method: "POST",
      origin: "https://api.example.com",
      target: "/items?page=1",
      address: PUBLIC,
      requestBytes: body.length,
      requestHash: sha256(body),
      status: 200,
      responseBytes: 5,
      responseHash: sha256("hello"),
      secrets: [],
      scrubbed: 0,
      reached: "confirmed",
      error: null,
    });
  });

  test("a 500 is an answer", async () => {
    const { answer, effect } = await perform(host, httpPlan({ url: "https://api.example.com/failing" }));
    expect([okOf(answer).status, effect.status, effect.reached, effect.error]).toEqual([
      500,
      500,
      "confirmed",
      null,
    ]);
  });

  test("an answer without a body is complete", async () => {
    const { answer, effect } = await perform(host, httpPlan({ url: "https://api.example.com/nothing" }));
    expect([okOf(answer).status, effect.responseBytes, effect.reached]).toEqual([204, 0, "confirmed"]);
    const head = await perform(host, httpPlan({ method: "HEAD" }));
    expect([okOf(head.answer).status, head.effect.responseBytes]).toEqual([200, 0]);
  });

  test("a redirect to a private address is an answer and is not followed", async () => {
    const before = host.stats().connections;
    const plan = httpPlan({ url: "https://api.example.com/moved", responseHeaders: ["location"] });
    const { answer, effect } = await perform(host, plan);
    expect([okOf(answer).status, okOf(answer).headers]).toEqual([
      302,
      [["location", "http://169.254.169.254/latest"]],
    ]);
    expect(effect.reached).toBe("confirmed");
    expect(host.stats().connections.opened - before.opened).toBeLessThanOrEqual(1);
  });

  test("only declared response headers are shown, cookies never, and the body is as it came", async () => {
    const plan = httpPlan({
      url: "https://api.example.com/headers",
      responseHeaders: ["x-shown", "set-cookie", "content-length"],
    });
    const ok = okOf((await perform(host, plan)).answer);
    expect(ok.headers.filter(([name]) => name !== "x-shown")).toEqual([["content-length", "2"]]);
    expect(ok.headers.filter(([name]) => name === "x-shown").map(([, value]) => value)).toEqual([
      "one",
      "two",
    ]);
    expect(Buffer.from(ok.body)).toEqual(Buffer.from([0x1f, 0x8b]));
  });

  test("requests one after the other share a connection, and a proxy in the environment changes nothing", async () => {
    process.env.HTTPS_PROXY = "http://127.0.0.1:9";
    try {
      const fresh = hostFor(origin.port);
      const before = origin.connections();
      for (let i = 0; i < 3; i++) expect((await perform(fresh)).effect.reached).toBe("confirmed");
      expect(origin.connections() - before).toBe(1);
      expect(fresh.stats()).toEqual({ doors: 0, connections: { opened: 1, reused: 2, open: 1, idle: 1 } });
    } finally {
      delete process.env.HTTPS_PROXY;
    }
  });
});

describe("an address in place of a name", () => {
  const named = (address: string) => ({
    url: `https://${address.includes(":") ? `[${address}]` : address}/`,
    hosts: [address],
  });

  test.each([PUBLIC, "2606:2800:21f::1"])("is what the certificate must be for: %s", async (address) => {
    const right = await kept(
      startOrigin(issue(authority, { addresses: [address] }), (_, response) => response.end("hello")),
    );
    const { effect } = await perform(hostFor(right.port), httpPlan(named(address)));
    expect([effect.error, effect.reached, effect.address]).toEqual([null, "confirmed", address]);
  });

  test.each([
    ["another address", { addresses: ["93.184.215.15"] }],
    ["a name", { names: ["api.example.com"] }],
    ["the address as a name", { names: [PUBLIC] }],
  ])("is not covered by a certificate for %s", async (_what, certified) => {
    const wrong = await kept(
      startOrigin(issue(authority, certified), (_, response) => response.end("reached")),
    );
    const { effect } = await perform(hostFor(wrong.port), httpPlan(named(PUBLIC)));
    expect([effect.error, effect.reached]).toEqual(["tls_failed", "none"]);
  });
});

test("names that share an address and a certificate do not share a connection", async () => {
  const both = issue(authority, { names: ["api.example.com", "other.example.com"] });
  const origin = await kept(startOrigin(both, (_, response) => response.end("hello")));
  const host = hostFor(origin.port);
  const hosts = ["api.example.com", "other.example.com"];
  for (const name of [...hosts, ...hosts])
    expect((await perform(host, httpPlan({ url: `https://${name}/`, hosts }))).effect.reached).toBe(
      "confirmed",
    );
  expect(origin.connections()).toBe(2);
});

describe("nothing is sent", () => {
  let origin: Origin;
  let requests = 0;

  beforeAll(async () => {
    origin = await kept(
      startRawOrigin(identity, (socket) => {
        requests += 1;
        answer(socket, "reached");
      }),
    );
  });

  async function refused(host: Host, plan: HttpPlan, code: string, address: string | null): Promise<void> {
    const before = requests;
    const { answer, effect } = await perform(host, plan);
    expect(answer).toEqual({ kind: "http.request", err: code });
    const { error, reached, status } = effect;
    expect({ error, reached, status, address: effect.address }).toMatchObject({
      error: code,
      reached: "none",
      status: null,
      address,
    });
    expect(requests).toBe(before);
  }

  const CHECKS: readonly (readonly [what: string, changes: Partial<HttpPlan>, code: string])[] = [
    ["to a host outside the egress", { hosts: ["example.com", "*.api.example.com"] }, "host_not_allowed"],
    ["without any egress", { hosts: [] }, "host_not_allowed"],
    ["to another port", { url: "https://api.example.com:8443/" }, "port_not_allowed"],
    ["in plain text to the https port", { url: "http://api.example.com:443/" }, "port_not_allowed"],
    ["with user information", { url: "https://user:pw@api.example.com/" }, "differs_from_plan"],
    ["with an empty user", { url: "https://@api.example.com/" }, "differs_from_plan"],
    ["by another scheme", { url: "ftp://api.example.com/" }, "differs_from_plan"],
    ["to a url that is not in normal form", { url: "https://API.example.com/" }, "differs_from_plan"],
    ["with an authorization header", { headers: [["authorization", "Bearer x"]] }, "header_not_allowed"],
    ["with a reframing header", { headers: [["transfer-encoding", "chunked"]] }, "header_not_allowed"],
    ["with a split header", { headers: [["x-a", "1\r\nhost: evil"]] }, "header_not_allowed"],
    ["beyond the request limit", { method: "POST", body: new Uint8Array(65_537) }, "request_too_large"],
  ];
  for (const [what, changes, code] of CHECKS)
    test(`${what}: ${code}`, async () => {
      await refused(hostFor(origin.port), httpPlan(changes), code, null);
    });

  test.each([
    "CONNECT",
    "TRACE",
    "TRACK",
    "DEBUG",
    "PROPFIND",
    "MKCOL",
    "PURGE",
    "PRI",
    "get",
    "GET /admin",
    "GET\r\nx",
    "",
  ])("by a method that the broker does not know: %j", async (method) => {
    // A plan read back from storage is typed by trust; the broker looks again.
    const plan = { ...httpPlan(), method } as unknown as HttpPlan;
    await refused(hostFor(origin.port), plan, "operation_not_allowed", null);
  });

  test("to a certificate for another name: tls_failed", async () => {
    const wrong = await kept(
      startRawOrigin(issue(authority, { names: ["other.example.com"] }), (socket) => answer(socket, "no")),
    );
    await refused(hostFor(wrong.port), httpPlan(), "tls_failed", PUBLIC);
  });

  test("to an expired certificate: tls_failed", async () => {
    const notBefore = new Date(Date.now() - 2 * 86_400_000);
    const notAfter = new Date(Date.now() - 86_400_000);
    const old = issue(authority, { names: ["api.example.com"], notBefore, notAfter });
    const expired = await kept(startRawOrigin(old, (socket) => answer(socket, "no")));
    await refused(hostFor(expired.port), httpPlan(), "tls_failed", PUBLIC);
  });

  test("to an unknown authority, whatever the environment says: tls_failed", async () => {
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
    try {
      const stranger = makeAuthority("stranger");
      await refused(
        hostFor(origin.port, { authorities: [stranger.certificate] }),
        httpPlan(),
        "tls_failed",
        PUBLIC,
      );
    } finally {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    }
  });

  test("to a port where nobody listens: connect_failed", async () => {
    const gone = await startRawOrigin(identity, () => undefined);
    await gone.close();
    await refused(hostFor(gone.port), httpPlan(), "connect_failed", PUBLIC);
  });

  test("to a peer that never finishes the handshake: connect_timeout", async () => {
    const mute = await kept(startPlainOrigin(() => undefined));
    await refused(hostFor(mute.port, { timeouts: { connectMs: 30 } }), httpPlan(), "connect_timeout", PUBLIC);
  });

  test("to a peer that hangs up in the handshake: tls_failed", async () => {
    const rude = await kept(startPlainOrigin((socket) => socket.destroy()));
    await refused(hostFor(rude.port), httpPlan(), "tls_failed", PUBLIC);
  });

  test("when the peer is not the address that was judged: connect_failed", async () => {
    const named = await kept(startOrigin(identity, (_, response) => response.end("reached")));
    const host = hostFor(named.port, {
      testing: { dial: () => ({ address: "localhost", port: named.port }) },
    });
    await refused(host, httpPlan(), "connect_failed", PUBLIC);
  });

  test("to one of the gate's own listeners: host_not_allowed", async () => {
    const listeners = () => [{ address: PUBLIC, port: 443 }];
    await refused(hostFor(origin.port, { listeners }), httpPlan(), "host_not_allowed", null);
  });
});

describe("an answer that does not end well", () => {
  interface Case {
    readonly what: string;
    readonly bytes: readonly string[];
    readonly end?: "destroy" | "end";
    readonly code: string;
    readonly status: number | null;
    readonly received: number;
    readonly method?: HttpPlan["method"];
  }
  const CASES: readonly Case[] = [
    {
      what: "closing without a word",
      bytes: [],
      end: "end",
      code: "connection_reset",
      status: null,
      received: 0,
    },
    {
      what: "a reset without a word",
      bytes: [],
      end: "destroy",
      code: "connection_reset",
      status: null,
      received: 0,
    },
    {
      what: "silence instead of a status line",
      bytes: [],
      code: "header_timeout",
      status: null,
      received: 0,
    },
    {
      what: "a header that never ends",
      bytes: ["HTTP/1.1 200 OK\r\nx-a: "],
      code: "header_timeout",
      status: null,
      received: 0,
    },
    {
      what: "silence in mid-body",
      bytes: ["HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"],
      code: "idle_timeout",
      status: 200,
      received: 3,
    },
    {
      what: "a truncated body",
      bytes: ["HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"],
      end: "end",
      code: "connection_reset",
      status: 200,
      received: 3,
    },
    {
      what: "a reset in mid-body",
      bytes: ["HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"],
      end: "destroy",
      code: "connection_reset",
      status: 200,
      received: 3,
    },
    {
      what: "a chunked body without its last chunk",
      bytes: ["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"],
      end: "end",
      code: "connection_reset",
      status: 200,
      received: 3,
    },
    {
      what: "a chunk of nonsense",
      bytes: ["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n"],
      code: "malformed_response",
      status: 200,
      received: 0,
    },
    {
      what: "a body that ends where the connection ends",
      bytes: ["HTTP/1.1 200 OK\r\n\r\nabc"],
      end: "end",
      code: "malformed_response",
      status: 200,
      received: 0,
    },
    {
      what: "both a length and chunks",
      bytes: [
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      ],
      code: "malformed_response",
      status: null,
      received: 0,
    },
    {
      what: "chunks and a length",
      bytes: [
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      ],
      code: "malformed_response",
      status: null,
      received: 0,
    },
    {
      what: "two lengths",
      bytes: ["HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\nabc"],
      code: "malformed_response",
      status: null,
      received: 0,
    },
    {
      what: "the same length twice",
      bytes: ["HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc"],
      code: "malformed_response",
      status: null,
      received: 0,
    },
    {
      what: "a list of lengths",
      bytes: ["HTTP/1.1 200 OK\r\ncontent-length: 3, 3\r\n\r\nabc"],
      code: "malformed_response",
      status: null,
      received: 0,
    },
    {
      what: "lines that end in a line feed alone",
      bytes: ["HTTP/1.1 200 OK\ncontent-length: 3\n\nabc"],
      code: "malformed_response",
      status: null,
      received: 0,
    },
    {
      what: "a folded header",
      bytes: ["HTTP/1.1 200 OK\r\nx-a: 1\r\n 2\r\ncontent-length: 3\r\n\r\nabc"],
      code: "malformed_response",
      status: null,
      received: 0,
    },
    {
      what: "a coding of the transfer that is not chunked",
      bytes: ["HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc"],
      end: "end",
      code: "malformed_response",
      status: 200,
      received: 0,
    },
    {
      what: "more headers than node tells of",
      bytes: [`HTTP/1.1 200 OK\r\ncontent-length: 3\r\n${"a:\r\n".repeat(1000)}\r\nabc`],
      code: "malformed_response",
      status: 200,
      received: 0,
    },
    {
      what: "something that is not http",
      bytes: ["SSH-2.0-OpenSSH_9.2\r\n"],
      code: "malformed_response",
      status: null,
      received: 0,
    },
    {
      what: "headers without end",
      bytes: [`HTTP/1.1 200 OK\r\nx-a: ${"a".repeat(20_000)}\r\ncontent-length: 0\r\n\r\n`],
      code: "malformed_response",
      status: null,
      received: 0,
    },
    {
      what: "a switch of protocols",
      bytes: ["HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello"],
      code: "malformed_response",
      status: 101,
      received: 0,
    },
    {
      what: "a declared length over the limit",
      bytes: ["HTTP/1.1 200 OK\r\ncontent-length: 65537\r\n\r\n"],
      code: "response_too_large",
      status: 200,
      received: 0,
    },
  ];
  for (const one of CASES)
    test(`${one.what} is ${one.code}, and the effect may have been reached`, async () => {
      const origin = await kept(
        startRawOrigin(identity, (socket, received) => {
          if (!received.endsWith("\r\n\r\n")) return;
          const [bytes] = one.bytes;
          if (one.end === "destroy" && bytes !== undefined) socket.write(bytes, () => socket.destroy());
          else if (one.end === "destroy") socket.destroy();
          else if (one.end === "end") socket.end(bytes ?? "");
          else if (bytes !== undefined) socket.write(bytes);
        }),
      );
      const silent = one.code === "header_timeout" || one.code === "idle_timeout";
      const host = hostFor(origin.port, silent ? { timeouts: { headerMs: 60, idleMs: 60 } } : {});
      const { answer, effect } = await perform(host);
      expect(answer).toEqual({ kind: "http.request", err: one.code });
      const { error, reached, status, responseBytes, responseHash } = effect;
      expect({ error, reached, status, responseBytes, responseHash }).toMatchObject({
        error: one.code,
        reached: "maybe",
        status: one.status,
        responseBytes: one.received,
        responseHash: null,
      });
      expect(host.stats().connections.open).toBe(0);
      expect(origin.connections()).toBe(1);
    });

  test("a streamed body over the limit is cut off at the limit", async () => {
    const origin = await kept(
      startOrigin(identity, (_, response) => {
        const pour = () => {
          while (!response.destroyed && response.write(Buffer.alloc(16_384)));
        };
        response.on("drain", pour);
        pour();
      }),
    );
    const { answer, effect } = await perform(hostFor(origin.port));
    expect(answer).toEqual({ kind: "http.request", err: "response_too_large" });
    expect([effect.reached, effect.responseHash]).toEqual(["maybe", null]);
    expect(effect.responseBytes).toBeGreaterThan(LIMITS.responseBytes);
    expect(effect.responseBytes).toBeLessThan(LIMITS.responseBytes * 4);
  });

  test("a connection that died while idle is not tried again with another one", async () => {
    let requests = 0;
    const origin = await kept(
      startRawOrigin(identity, (socket) => {
        requests += 1;
        // The second request on the connection meets a server that has just given it up.
        if (requests === 1) answer(socket, "first");
        else socket.destroy();
      }),
    );
    const host = hostFor(origin.port);
    const plan = httpPlan({ method: "POST", body: Buffer.from("pay") });
    expect((await perform(host, plan)).effect.reached).toBe("confirmed");
    const { answer: second, effect } = await perform(host, plan);
    expect(second).toEqual({ kind: "http.request", err: "connection_reset" });
    expect([effect.reached, requests, origin.connections()]).toEqual(["maybe", 2, 1]);
  });

  test("bytes after an answer end the connection and reach no later call", async () => {
    const origin = await kept(
      startRawOrigin(identity, (socket, received) => {
        if (received.split("\r\n\r\n").length > 2) return;
        const reply = (body: string) => `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
        socket.write(reply("first") + reply("forged"));
      }),
    );
    const host = hostFor(origin.port);
    for (let i = 0; i < 2; i++)
      expect(Buffer.from(okOf((await perform(host)).answer).body).toString()).toBe("first");
    expect(origin.connections()).toBe(2);
  });
});

test("no phase is without a limit, and the limits are those that are documented", () => {
  const page = readFileSync(join(import.meta.dir, "../../../docs/egress.md"), "utf8");
  const documented = (row: string) =>
    Number(new RegExp(`^\\| ${row} \\| (\\d+) s \\|$`, "m").exec(page)?.[1]) * 1000;
  expect(HTTP_TIMEOUTS).toEqual({
    dnsMs: documented("name lookup"),
    connectMs: documented("connection, TLS handshake included"),
    headerMs: documented("until the status line"),
    idleMs: documented("between two pieces of the body"),
  });
  for (const ms of Object.values(HTTP_TIMEOUTS)) expect([ms > 0, ms <= 15_000]).toEqual([true, true]);
});

describe("a call that is over", () => {
  async function silentOrigin(): Promise<{ origin: Origin; asked: Promise<void>; gone: Promise<void> }> {
    const asked = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    const origin = await kept(
      startRawOrigin(identity, (socket) => {
        socket.on("close", () => gone.resolve());
        asked.resolve();
      }),
    );
    return { origin, asked: asked.promise, gone: gone.promise };
  }

  test("by its door: the connection is closed and the effect may have been reached", async () => {
    const { origin, asked, gone } = await silentOrigin();
    const host = hostFor(origin.port);
    const plan = httpPlan();
    const door = host.door(doorRequest(plan));
    const answer = door.call(callFor(plan));
    await asked;
    await door.close();
    expect(await answer).toEqual({ kind: "http.request", err: "cancelled" });
    await gone;
    expect(door.effects().map((effect) => [effect.reached, effect.error])).toEqual([["maybe", "cancelled"]]);
    expect(await door.call(callFor(plan))).toEqual({ kind: "http.request", err: "cancelled" });
    expect([door.effects().length, host.stats().doors, host.stats().connections.open]).toEqual([1, 0, 0]);
  });

  test("by its signal, its deadline, or the component's own limit", async () => {
    const { origin, asked } = await silentOrigin();
    const host = hostFor(origin.port);
    const stop = new AbortController();
    asked.then(() => stop.abort());
    const stopped = await perform(host, httpPlan(), { signal: stop.signal });
    expect([stopped.effect.error, stopped.effect.reached]).toEqual(["cancelled", "maybe"]);
    const late = await perform(host, httpPlan(), { deadline: performance.now() + 400 });
    expect([late.effect.error, late.effect.reached]).toEqual(["deadline", "maybe"]);
    const impatient = await perform(host, httpPlan(), {}, 400);
    expect([impatient.effect.error, impatient.effect.reached]).toEqual(["deadline", "maybe"]);
  });

  test("by its deadline, however much longer the component would wait", async () => {
    const { origin } = await silentOrigin();
    for (const timeoutMs of [0, 60_000, 2 ** 31, 2 ** 32 - 1]) {
      const request = { deadline: performance.now() + 300 };
      const { effect } = await perform(hostFor(origin.port), httpPlan(), request, timeoutMs);
      expect([timeoutMs, effect.error, effect.reached]).toEqual([timeoutMs, "deadline", "maybe"]);
    }
    // A limit that a timer cannot count is no limit of no time at all.
    const quick = await kept(startOrigin(identity, (_, response) => response.end("hello")));
    for (const timeoutMs of [2 ** 31, 2 ** 32 - 1]) {
      const { effect } = await perform(hostFor(quick.port), httpPlan(), {}, timeoutMs);
      expect([timeoutMs, effect.error, effect.reached]).toEqual([timeoutMs, null, "confirmed"]);
    }
  });

  test("while a name is looked up or a handshake hangs: nothing was reached", async () => {
    const mute = await kept(startPlainOrigin(() => undefined));
    const shaking = await perform(hostFor(mute.port), httpPlan(), { deadline: performance.now() + 40 });
    expect([shaking.effect.error, shaking.effect.reached]).toEqual(["deadline", "none"]);
    const lookup = hostFor(mute.port, {
      testing: {
        resolve: (_, signal) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener("abort", () => reject(signal.reason));
          }),
      },
    });
    const asking = await perform(lookup, httpPlan(), { deadline: performance.now() + 40 });
    expect([asking.effect.error, asking.effect.reached, asking.effect.address]).toEqual([
      "deadline",
      "none",
      null,
    ]);
  });

  test("by the end of the host, after which every door is shut", async () => {
    const { origin, asked } = await silentOrigin();
    const host = hostFor(origin.port);
    const door = host.door(doorRequest(httpPlan()));
    const answer = door.call(callFor(httpPlan()));
    await asked;
    await host.close();
    expect(await answer).toEqual({ kind: "http.request", err: "cancelled" });
    const late = host.door(doorRequest(httpPlan()));
    expect(await late.call(callFor(httpPlan()))).toEqual({ kind: "http.request", err: "cancelled" });
    expect(late.effects()).toEqual([]);
  });
});

describe("plain http", () => {
  test("goes out when the plan's url says so", async () => {
    const origin = await kept(
      startPlainOrigin((socket, received) => {
        if (received.endsWith("\r\n\r\n")) answer(socket, "plain");
      }),
    );
    const { answer: reply, effect } = await perform(
      hostFor(origin.port),
      httpPlan({ url: "http://api.example.com/" }),
    );
    expect(Buffer.from(okOf(reply).body).toString()).toBe("plain");
    expect([effect.origin, effect.reached]).toEqual(["http://api.example.com", "confirmed"]);
  });
});
