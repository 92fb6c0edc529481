import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { createHost, type Host, type HostOptions } from "../../../src/host/index.ts";
import { issue, makeAuthority } from "../../certificates.ts";
import { type Origin, startOrigin, startPlainOrigin } from "../origin.ts";
import { callFor, doorRequest, httpPlan } from "../plans.ts";
import { TableSource } from "../secrets.ts";

const PUBLIC = "93.184.215.14";
const LOGIN = "gate:proxy-password";
const authority = makeAuthority("proxied authority");
const stops: (() => Promise<void>)[] = [];
let origin: Origin;
let plain: Origin;
/** Heads of the requests that the proxy got. */
let heads: string[] = [];
/** What the proxy does once a head is there; null opens the tunnel. */
let answer: ((socket: Socket) => void) | null = null;
let proxy: Origin;

beforeAll(async () => {
  origin = await startOrigin(issue(authority, { names: ["api.example.com"] }), (_request, response) => {
    response.end(`echo ${LOGIN}`);
  });
  plain = await startPlainOrigin((socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nplain"));
  proxy = await startPlainOrigin((socket, received) => {
    if (!received.endsWith("\r\n\r\n")) return;
    heads.push(received);
    socket.removeAllListeners("data");
    if (answer !== null) return answer(socket);
    const port = received.startsWith(`CONNECT ${PUBLIC}:443 `) ? origin.port : plain.port;
    const onward = connect({ host: "127.0.0.1", port }, () => {
      socket.write("HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n");
      socket.pipe(onward).pipe(socket);
    });
    onward.on("error", () => socket.destroy());
    socket.on("close", () => onward.destroy());
  });
  stops.push(origin.close, plain.close, proxy.close);
});
afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
});

function hostFor(options: HostOptions = {}): Host {
  const host = createHost({
    authorities: [authority.certificate],
    proxy: { url: `http://127.0.0.1:${proxy.port}`, secret: null },
    ...options,
    testing: { resolve: async () => [{ address: PUBLIC, ttl: 60 }], ...options.testing },
  });
  stops.push(() => host.close());
  return host;
}

async function perform(host: Host, plan = httpPlan()) {
  const door = host.door(doorRequest(plan));
  const got = await door.call(callFor(plan));
  await door.close();
  const [effect] = door.effects();
  if (effect?.kind !== "http") throw new Error("no http effect");
  const ok = "ok" in got && got.kind === "http.request" ? Buffer.from(got.ok.body).toString() : null;
  return { body: ok, effect, error: effect.error };
}

function fresh(does: typeof answer = null): void {
  heads = [];
  answer = does;
}

describe("a proxy is asked for the judged address, and is told no name", () => {
  test("three requests, one tunnel", async () => {
    fresh();
    const host = hostFor();
    for (let i = 0; i < 3; i++) expect((await perform(host)).body).toBe(`echo ${LOGIN}`);
    expect(heads).toEqual([`CONNECT ${PUBLIC}:443 HTTP/1.1\r\nhost: ${PUBLIC}:443\r\n\r\n`]);
    expect((await perform(host)).effect).toMatchObject({ address: PUBLIC, reached: "confirmed" });
  });

  test("an address of version 6 is written in brackets, and plain http goes by a tunnel as well", async () => {
    fresh();
    const host = hostFor({ testing: { resolve: async () => [{ address: "2606:4700::1111", ttl: 60 }] } });
    expect((await perform(host, httpPlan({ url: "http://api.example.com/" }))).body).toBe("plain");
    expect(heads[0]).toStartWith("CONNECT [2606:4700::1111]:80 HTTP/1.1\r\n");
  });

  test("the certificate is checked against the name inside the tunnel", async () => {
    fresh();
    const plan = httpPlan({ url: "https://other.example.com/", hosts: ["other.example.com"] });
    const { error, effect } = await perform(hostFor(), plan);
    expect([error, effect.reached, heads.length]).toEqual(["tls_failed", "none", 1]);
    const stranger = makeAuthority("stranger");
    expect((await perform(hostFor({ authorities: [stranger.certificate] }))).error).toBe("tls_failed");
  });

  test("an address that is not public is not asked for", async () => {
    fresh();
    const host = hostFor({ testing: { resolve: async () => [{ address: "10.0.0.1", ttl: 60 }] } });
    expect([(await perform(host)).error, heads]).toEqual(["address_not_public", []]);
  });

  test("a local target is dialled directly", async () => {
    fresh();
    const local = [
      {
        action: "test_action",
        methods: ["GET" as const],
        pathPrefix: "/",
        host: "api.example.com",
        address: "127.0.0.1",
        port: origin.port,
        caFile: null,
      },
    ];
    const plan = httpPlan({ url: `https://api.example.com:${origin.port}/` });
    expect((await perform(hostFor({ localEgress: local }), plan)).body).toBe(`echo ${LOGIN}`);
    expect(heads).toEqual([]);
  });

  test("a proxy by name is resolved, and may be private", async () => {
    fresh();
    const host = hostFor({
      proxy: { url: `http://proxy.internal:${proxy.port}`, secret: null },
      testing: {
        resolve: async (name) => [{ address: name === "proxy.internal" ? "127.0.0.1" : PUBLIC, ttl: 60 }],
      },
    });
    expect((await perform(host)).body).toBe(`echo ${LOGIN}`);
  });
});

describe("the proxy's login", () => {
  const setting = () => ({ url: `http://127.0.0.1:${proxy.port}`, secret: "PROXY_LOGIN" });

  test("is sent to the proxy alone, and taken out of what comes back", async () => {
    fresh();
    const source = new TableSource({ PROXY_LOGIN: LOGIN });
    const { body, effect } = await perform(hostFor({ proxy: setting(), secrets: source }));
    expect(heads[0]).toContain(`\r\nproxy-authorization: Basic ${btoa(LOGIN)}\r\n`);
    expect([body, effect.secrets, effect.scrubbed, source.out.size]).toEqual(["echo [redacted]", [], 1, 0]);
  });

  test("that is not there, or is none, refuses the call before anything leaves", async () => {
    fresh();
    expect((await perform(hostFor({ proxy: setting(), secrets: new TableSource({}) }))).error).toBe(
      "secret_missing",
    );
    expect((await perform(hostFor({ proxy: setting() }))).error).toBe("secrets_unavailable");
    const odd = new TableSource({ PROXY_LOGIN: "no-colon-in-it" });
    expect((await perform(hostFor({ proxy: setting(), secrets: odd }))).error).toBe("secret_invalid");
    expect(heads).toEqual([]);
  });
});

describe("a proxy that opens no tunnel leaves the effect unreached", () => {
  test.each<[string, (socket: Socket) => void, string]>([
    ["407", (socket) => socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"), "proxy_refused"],
    [
      "403 with a page",
      (socket) => socket.end("HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno"),
      "proxy_refused",
    ],
    [
      "200 and then its own bytes",
      (socket) => socket.write("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
      "proxy_refused",
    ],
    ["something else than http", (socket) => socket.write("220 smtp.example\r\n\r\n"), "proxy_refused"],
    [
      "a head without end",
      (socket) => socket.write(`HTTP/1.1 200 OK\r\nx: ${"a".repeat(20_000)}`),
      "proxy_refused",
    ],
    ["a close", (socket) => socket.end(), "proxy_refused"],
    ["a reset", (socket) => socket.resetAndDestroy(), "proxy_refused"],
    ["silence", () => undefined, "connect_timeout"],
    [
      "503 that says it is squid's",
      (socket) => socket.end("HTTP/1.1 503 No\r\nx-squid-error: ERR_DNS_FAIL 0\r\ncontent-length: 0\r\n\r\n"),
      "proxy_refused",
    ],
    [
      "403 that says it is squid's",
      (socket) => socket.end("HTTP/1.1 403 No\r\nx-squid-error: ERR_ACCESS_DENIED 0\r\n\r\n"),
      "proxy_refused",
    ],
  ])("%s, and it is asked once", async (_name, does, code) => {
    for (const url of ["https://api.example.com/", "http://api.example.com/"]) {
      fresh(does);
      const before = [proxy.connections(), origin.connections(), plain.connections()];
      const { error, effect } = await perform(hostFor({ timeouts: { connectMs: 300 } }), httpPlan({ url }));
      expect([error, effect.reached]).toEqual([code as never, "none"]);
      expect([proxy.connections(), origin.connections(), plain.connections()]).toEqual([
        (before[0] ?? 0) + 1,
        ...before.slice(1),
      ]);
    }
  });

  test("a proxy that is not there, neither which nor its target is tried again", async () => {
    fresh();
    const gone = await startPlainOrigin(() => undefined);
    await gone.close();
    const before = [origin.connections(), plain.connections()];
    let asked = 0;
    const host = hostFor({
      proxy: { url: `http://proxy.internal:${gone.port}`, secret: null },
      testing: {
        resolve: async (name) => {
          if (name === "proxy.internal") asked += 1;
          return [{ address: name === "proxy.internal" ? "127.0.0.1" : PUBLIC, ttl: 60 }];
        },
      },
    });
    const { error, effect } = await perform(host);
    expect([error, effect.reached, asked]).toEqual(["connect_failed", "none", 1]);
    expect([origin.connections(), plain.connections()]).toEqual(before);
  });

  test("an answer that bears the mark of a proxy is an answer, and the request went once", async () => {
    fresh();
    let requests = 0;
    const marked = await startPlainOrigin((socket) => {
      requests += 1;
      socket.end("HTTP/1.1 503 No\r\nx-squid-error: ERR_CONNECT_FAIL 111\r\ncontent-length: 0\r\n\r\n");
    });
    stops.push(marked.close);
    answer = (socket) => {
      const onward = connect({ host: "127.0.0.1", port: marked.port }, () => {
        socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
        socket.pipe(onward).pipe(socket);
      });
      onward.on("error", () => socket.destroy());
    };
    const { error, effect } = await perform(hostFor(), httpPlan({ url: "http://api.example.com/" }));
    expect([error, effect.status, effect.reached, requests]).toEqual([null, 503, "confirmed", 1]);
  });

  test("the call's end is the tunnel's end", async () => {
    const asked = Promise.withResolvers<Socket>();
    fresh((socket) => asked.resolve(socket));
    const door = hostFor().door(doorRequest(httpPlan()));
    const got = door.call(callFor(httpPlan()));
    const socket = await asked.promise;
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.resume();
    await door.close();
    await closed;
    expect(await got).toEqual({ kind: "http.request", err: "cancelled" });
  });
});

test.each([
  "https://proxy.example:3128",
  "http://user:pw@proxy.example",
  "http://proxy.example/path",
  "proxy.example:3128",
  "socks5://a",
])("no proxy: %s", (url) => {
  expect(() => createHost({ proxy: { url, secret: null } })).toThrow("egress.proxy must be http://host:port");
});
