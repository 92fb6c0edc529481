import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  brotliCompressSync,
  constants,
  deflateRawSync,
  deflateSync,
  gzipSync,
  zstdCompressSync,
} from "node:zlib";
import type { HttpEffect } from "../../../src/core/effect.ts";
import type { HostAnswer, HttpAnswer } from "../../../src/core/host-call.ts";
import type { HttpPlan } from "../../../src/core/plan.ts";
import type { SecretBinding } from "../../../src/core/secret-binding.ts";
import { createHost, type DoorRequest, type Host, type HostOptions } from "../../../src/host/index.ts";
import { issue, makeAuthority } from "../../certificates.ts";
import { type Origin, startOrigin } from "../origin.ts";
import { callFor, doorRequest, httpPlan } from "../plans.ts";
import { TableSource } from "../secrets.ts";

const PUBLIC = "93.184.215.14";
const TOKEN = 'tok-"&/+ 7Zq';
const PLAIN = "tok_0123456789abcdef";
const ORIGIN = "https://api.example.com";
const authority = makeAuthority("credentials authority");
const stops: (() => Promise<void>)[] = [];

interface Arrived {
  readonly url: string;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly raw: readonly string[];
  readonly body: string;
}

const arrived: Arrived[] = [];
/** What the server answers: body, headers. */
let reply: (request: Arrived) => {
  readonly body: string | Uint8Array;
  readonly headers?: Record<string, string>;
  readonly status?: number;
};
let origin: Origin;

beforeAll(async () => {
  origin = await startOrigin(
    issue(authority, { names: ["api.example.com", "other.example.com"] }),
    (request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const one = {
          url: request.url ?? "",
          headers: request.headers,
          raw: request.rawHeaders,
          body: Buffer.concat(chunks).toString("latin1"),
        };
        arrived.push(one);
        const { body, headers = {}, status = 200 } = reply(one);
        response.writeHead(status, { "content-length": Buffer.byteLength(body), ...headers });
        response.end(body);
      });
    },
  );
  stops.push(origin.close);
});
afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
});

function hostFor(secrets: TableSource | null, options: HostOptions = {}): Host {
  const host = createHost({
    authorities: [authority.certificate],
    ...(secrets === null ? {} : { secrets }),
    ...options,
    testing: {
      resolve: async () => [{ address: PUBLIC, ttl: 60 }],
      dial: () => ({ address: "127.0.0.1", port: origin.port }),
      ...options.testing,
    },
  });
  stops.push(() => host.close());
  return host;
}

function bound(changes: Partial<SecretBinding> = {}): SecretBinding {
  return {
    secret: "TOKEN",
    in: "header",
    name: "authorization",
    format: "Bearer {secret}",
    origin: ORIGIN,
    required: true,
    ...changes,
  };
}

const grant = ({
  granted = ["TOKEN", "OTHER"],
  ...caller
}: {
  granted?: readonly string[];
  tenant?: string;
  principal?: string;
} = {}): Partial<DoorRequest> => ({
  secrets: granted,
  caller: { tenant: "default", principal: "uid:1", ...caller },
});

async function perform(host: Host, plan: HttpPlan, changes: Partial<DoorRequest> = grant()) {
  const door = host.door(doorRequest(plan, changes));
  const answer = await door.call(callFor(plan));
  const said = await door.scrub({ said: `the component says ${PLAIN}` });
  await door.close();
  const [effect] = door.effects();
  if (effect?.kind !== "http") throw new Error("no http effect");
  return { answer, effect, said, redactions: door.redactions() };
}

function okOf(answer: HostAnswer): HttpAnswer {
  if ("ok" in answer && answer.kind === "http.request") return answer.ok;
  throw new Error(JSON.stringify(answer));
}

/** Percent-decoded where that can be done. */
function decodeLoosely(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (found) =>
    Buffer.from(found.replaceAll("%", ""), "hex").toString(),
  );
}

const quiet = () => ({ body: "{}", headers: { "content-type": "application/json" } });

describe("a credential stands in its place, set and not added", () => {
  const places: readonly (readonly [
    string,
    Partial<HttpPlan>,
    Partial<SecretBinding>,
    string,
    (got: Arrived) => unknown,
    unknown,
  ])[] = [
    [
      "header",
      {},
      { name: "x-api-key", format: "{secret}" },
      PLAIN,
      (got) => got.headers["x-api-key"],
      PLAIN,
    ],
    ["bearer", {}, {}, PLAIN, (got) => got.headers.authorization, `Bearer ${PLAIN}`],
    [
      "basic",
      {},
      { in: "basic", format: "{secret}" },
      "robot:pass word 1",
      (got) => got.headers.authorization,
      `Basic ${btoa("robot:pass word 1")}`,
    ],
    [
      "basic with a key as the user",
      {},
      { in: "basic", format: "{secret}:" },
      PLAIN,
      (got) => got.headers.authorization,
      `Basic ${btoa(`${PLAIN}:`)}`,
    ],
    [
      "query, behind what is planned",
      {},
      { in: "query", name: "key", format: "{secret}" },
      TOKEN,
      (got) => got.url,
      `/items?page=1&key=${encodeURIComponent(TOKEN)}`,
    ],
    [
      "query, alone",
      { url: `${ORIGIN}/items` },
      { in: "query", name: "key", format: "{secret}" },
      PLAIN,
      (got) => got.url,
      `/items?key=${PLAIN}`,
    ],
    [
      "path",
      { url: `${ORIGIN}/bot%7Btoken%7D/send` },
      { in: "path", name: "token", format: "{secret}" },
      "1234:ab/../cd?e#f",
      (got) => got.url,
      "/bot1234%3Aab%2F..%2Fcd%3Fe%23f/send",
    ],
    [
      "json body",
      { method: "POST", body: Buffer.from('{"auth":{"kind":"key"},"text":"hi"}') },
      { in: "body", name: "/auth/api_key", format: "{secret}" },
      TOKEN,
      (got) => JSON.parse(got.body),
      { auth: { kind: "key", api_key: TOKEN }, text: "hi" },
    ],
    [
      "form body",
      { method: "POST", body: Buffer.from("text=hi") },
      { in: "body", name: "api key", format: "Key {secret}" },
      TOKEN,
      (got) => [...new URLSearchParams(got.body)],
      [
        ["text", "hi"],
        ["api key", `Key ${TOKEN}`],
      ],
    ],
  ];
  test.each(places)("%s", async (_name, plan, binding, value, found, wanted) => {
    reply = quiet;
    const source = new TableSource({ TOKEN: value });
    const host = hostFor(source);
    const planned = httpPlan({ ...plan, secrets: [bound(binding)] });
    const { answer, effect } = await perform(host, planned);
    expect(okOf(answer).status).toBe(200);
    const got = arrived.at(-1);
    if (got === undefined) throw new Error("nothing arrived");
    expect(found(got)).toEqual(wanted as never);
    expect(got.raw.filter((name) => name.toLowerCase() === "authorization").length).toBeLessThanOrEqual(1);
    if (got.body !== "") expect(got.headers["content-length"]).toBe(String(got.body.length));
    expect(effect.secrets).toEqual(["TOKEN"]);
    // Evidence is that of the plan: it shows and hashes nothing of the value.
    expect(effect.origin + effect.target).toBe(planned.url);
    expect(effect.requestBytes).toBe(planned.body?.length ?? 0);
    expect(JSON.stringify(effect)).not.toContain(value);
    expect(source.out.size).toBe(0);
    expect(source.requests).toMatchObject([{ names: ["TOKEN"], tenant: "default", principal: "uid:1" }]);
  });
});

describe("a credential goes to its origin alone", () => {
  test.each([
    ["another host", { url: "https://other.example.com/items", hosts: ["other.example.com"] }, {}],
    ["a name below it", { url: "https://x.api.example.com/items", hosts: ["*.api.example.com"] }, {}],
    ["plain http", { url: "http://api.example.com/items" }, { origin: "http://api.example.com" }],
    ["another port of the binding", {}, { origin: `${ORIGIN}:8443` }],
  ])("%s: refused before anything leaves", async (_name, plan, binding) => {
    const source = new TableSource({ TOKEN: PLAIN });
    const host = hostFor(source);
    const before = [arrived.length, origin.connections()];
    const { answer, effect } = await perform(host, httpPlan({ ...plan, secrets: [bound(binding)] }));
    expect(answer).toEqual({ kind: "http.request", err: "host_not_allowed" });
    expect([effect.reached, effect.secrets, effect.error]).toEqual(["none", [], "host_not_allowed"]);
    expect([arrived.length, origin.connections()]).toEqual(before);
    expect(source.out.size).toBe(0);
  });

  test("a redirect is an answer: nobody else is asked", async () => {
    reply = () => ({ body: "", status: 302, headers: { location: "https://other.example.com/take" } });
    const host = hostFor(new TableSource({ TOKEN: PLAIN }));
    const before = arrived.length;
    const { answer } = await perform(host, httpPlan({ secrets: [bound()], responseHeaders: ["location"] }));
    expect(okOf(answer).status).toBe(302);
    expect(arrived.length).toBe(before + 1);
  });

  test("a name that turns to a private address gets nothing", async () => {
    const host = hostFor(new TableSource({ TOKEN: PLAIN }), {
      testing: { resolve: async () => [{ address: "10.0.0.1", ttl: 60 }] },
    });
    const before = origin.connections();
    const { answer } = await perform(host, httpPlan({ secrets: [bound()] }));
    expect(answer).toEqual({ kind: "http.request", err: "address_not_public" });
    expect(origin.connections()).toBe(before);
  });

  test("a server without the certificate gets nothing", async () => {
    const stranger = makeAuthority("stranger");
    const before = arrived.length;
    const host = hostFor(new TableSource({ TOKEN: PLAIN }), { authorities: [stranger.certificate] });
    const { answer, effect } = await perform(host, httpPlan({ secrets: [bound()] }));
    expect(answer).toEqual({ kind: "http.request", err: "tls_failed" });
    expect([effect.reached, effect.secrets, arrived.length]).toEqual(["none", [], before]);
  });

  test("a wrong credential is the server's 401, and says nothing of it", async () => {
    const right = "the-right-token-0123";
    reply = ({ headers }) =>
      headers.authorization === `Bearer ${right}`
        ? { body: "welcome" }
        : { status: 401, body: `unknown: ${headers.authorization}` };
    const host = hostFor(new TableSource({ TOKEN: PLAIN, "b/TOKEN": right }));
    const plan = httpPlan({ secrets: [bound()] });
    const { answer, effect } = await perform(host, plan);
    expect([okOf(answer).status, Buffer.from(okOf(answer).body).toString()]).toEqual([
      401,
      "unknown: Bearer [redacted]",
    ]);
    expect([effect.status, effect.scrubbed]).toEqual([401, 1]);
    const taken = await perform(host, plan, grant({ tenant: "b" }));
    expect([okOf(taken.answer).status, taken.effect.scrubbed]).toEqual([200, 0]);
  });

  test("a connection that carried one principal's credential serves no other", async () => {
    reply = quiet;
    const host = hostFor(new TableSource({ TOKEN: PLAIN, "b/TOKEN": "another-tenants-token" }));
    const plan = httpPlan({ secrets: [bound()] });
    const opened = () => host.stats().connections.opened;
    await perform(host, plan);
    await perform(host, plan);
    expect(opened()).toBe(1);
    await perform(host, plan, grant({ principal: "uid:2" }));
    expect(opened()).toBe(2);
    await perform(host, plan, grant({ tenant: "b" }));
    expect(opened()).toBe(3);
    expect(arrived.at(-1)?.headers.authorization).toBe("Bearer another-tenants-token");
    await perform(host, httpPlan());
    expect(opened()).toBe(4);
    expect(arrived.at(-1)?.headers.authorization).toBeUndefined();
  });
});

describe("what cannot be used is refused before anything leaves", () => {
  const refused = async (host: Host, plan: HttpPlan, changes = grant()) => {
    const before = [arrived.length, origin.connections()];
    const { answer, effect } = await perform(host, plan, changes);
    expect([arrived.length, origin.connections()]).toEqual(before);
    expect([effect.reached, effect.secrets]).toEqual(["none", []]);
    expect(effect.error).toBe("err" in answer ? (answer.err as HttpEffect["error"]) : null);
    return effect.error;
  };

  test.each(["secret_missing", "secrets_unavailable", "secrets_damaged"])(
    "a source that says %s",
    async (code) => {
      const host = hostFor(new TableSource({ TOKEN: PLAIN }, code));
      expect(await refused(host, httpPlan({ secrets: [bound()] }))).toBe(code as never);
    },
  );

  test("no source at all, and a source that fails in its own way", async () => {
    expect(await refused(hostFor(null), httpPlan({ secrets: [bound()] }))).toBe("secrets_unavailable");
    const odd = hostFor(new TableSource({}, "EACCES"));
    expect(await refused(odd, httpPlan({ secrets: [bound()] }))).toBe("secrets_unavailable");
  });

  test("a required secret that policy withholds is not even opened", async () => {
    const source = new TableSource({ TOKEN: PLAIN });
    expect(await refused(hostFor(source), httpPlan({ secrets: [bound()] }), grant({ granted: [] }))).toBe(
      "not_granted",
    );
    expect(source.requests).toEqual([]);
  });

  test.each([
    ["a line feed", "token-with\nx-evil: 1"],
    ["a carriage return", "token-with\rmore"],
    ["nul", "token-with\0more"],
    ["seven bytes", "1234567"],
    ["more than eight thousand bytes", "a".repeat(8193)],
    ["nothing", ""],
    ["what no header can hold", "caf\u00e9-token"],
    ["an outer blank", " token-with-blank "],
  ])("a value with %s", async (_name, value) => {
    const source = new TableSource({ TOKEN: value });
    const secrets = [bound({ format: "{secret}" })];
    expect(await refused(hostFor(source), httpPlan({ secrets }))).toBe("secret_invalid");
    expect(source.out.size).toBe(0);
  });

  test.each([
    ["query", { in: "query", name: "key", format: "{secret}" }, "token-with\r\nmore"],
    ["path", { in: "path", name: "t", format: "{secret}" }, "token-with\0more"],
    ["json body", { in: "body", name: "/k", format: "{secret}" }, "token-with\nmore"],
    [
      "json body that is no utf-8",
      { in: "body", name: "/k", format: "{secret}" },
      Uint8Array.of(255, 254, 65, 66, 67, 68, 69, 70),
    ],
    ["basic without a colon", { in: "basic", format: "{secret}" }, "user-and-password"],
    ["basic with a short password", { in: "basic", format: "{secret}" }, "a-long-user-name:short"],
  ] as const)("%s: a value that cannot stand there", async (_name, binding, value) => {
    const plan = httpPlan({
      method: "POST",
      url: `${ORIGIN}/bot%7Bt%7D`,
      body: Buffer.from("{}"),
      secrets: [bound(binding)],
    });
    expect(await refused(hostFor(new TableSource({ TOKEN: value })), plan)).toBe("secret_invalid");
  });

  test.each([
    [
      "a query parameter, encoded",
      { url: `${ORIGIN}/?k%65y=mine` },
      { in: "query", name: "key", format: "{secret}" },
    ],
    [
      "a query parameter behind a semicolon",
      { url: `${ORIGIN}/?a=1;key=mine` },
      { in: "query", name: "key", format: "{secret}" },
    ],
    [
      "a second placeholder",
      { url: `${ORIGIN}/%7Bt%7D/%7Bt%7D` },
      { in: "path", name: "t", format: "{secret}" },
    ],
    [
      "a placeholder in the query",
      { url: `${ORIGIN}/?a=%7Bt%7D` },
      { in: "path", name: "t", format: "{secret}" },
    ],
    ["no placeholder", {}, { in: "path", name: "t", format: "{secret}" }],
    [
      "a member",
      { method: "POST", body: Buffer.from('{"key":1}') },
      { in: "body", name: "/key", format: "{secret}" },
    ],
    [
      "a missing parent",
      { method: "POST", body: Buffer.from("{}") },
      { in: "body", name: "/a/key", format: "{secret}" },
    ],
    [
      "a form field",
      { method: "POST", body: Buffer.from("k%65y=1") },
      { in: "body", name: "key", format: "{secret}" },
    ],
    ["no body", {}, { in: "body", name: "/key", format: "{secret}" }],
    ["a header", { headers: [["x-key", "mine"]] }, { name: "x-key", format: "{secret}" }],
  ] as const)("the place is taken or not there: %s", async (_name, plan, binding) => {
    const host = hostFor(new TableSource({ TOKEN: PLAIN }));
    expect(await refused(host, httpPlan({ ...plan, secrets: [bound(binding)] } as Partial<HttpPlan>))).toBe(
      "header_not_allowed",
    );
  });

  test("a source that never answers ends with the call, and what it opens later is released", async () => {
    const source = new TableSource({ TOKEN: PLAIN });
    const opening = Promise.withResolvers<void>();
    const late = Promise.withResolvers<void>();
    const slow = Object.assign(Object.create(source) as TableSource, {
      open: async (request: Parameters<TableSource["open"]>[0]) => {
        opening.resolve();
        await late.promise;
        return source.open(request);
      },
    });
    const plan = httpPlan({ secrets: [bound()] });
    const door = hostFor(slow).door(doorRequest(plan, grant()));
    const answer = door.call(callFor(plan));
    await opening.promise;
    await door.close();
    expect(await answer).toEqual({ kind: "http.request", err: "cancelled" });
    late.resolve();
    await new Promise((next) => setImmediate(next));
    expect([source.requests.length, source.out.size]).toEqual([1, 0]);
  });
});

describe("an optional secret", () => {
  const optional = httpPlan({ secrets: [bound({ required: false })] });
  test.each([
    ["that nobody has", new TableSource({}), grant()],
    ["of a gate without secrets", null, grant()],
    ["that policy withholds", new TableSource({ TOKEN: PLAIN }), grant({ granted: [] })],
  ])("%s is left out", async (_name, source, changes) => {
    reply = quiet;
    const { answer, effect } = await perform(hostFor(source), optional, changes);
    expect(okOf(answer).status).toBe(200);
    expect(effect.secrets).toEqual([]);
    expect(arrived.at(-1)?.headers.authorization).toBeUndefined();
  });

  test("that is there is sent, also beside a required one", async () => {
    reply = quiet;
    const secrets = [
      bound({ required: false }),
      bound({ secret: "OTHER", name: "x-key", format: "{secret}" }),
    ];
    const { effect } = await perform(
      hostFor(new TableSource({ TOKEN: PLAIN, OTHER: "other-value" })),
      httpPlan({ secrets }),
    );
    expect(effect.secrets).toEqual(["TOKEN", "OTHER"]);
    expect(arrived.at(-1)?.headers).toMatchObject({
      authorization: `Bearer ${PLAIN}`,
      "x-key": "other-value",
    });
  });

  test("that cannot be read is an outage, not left out", async () => {
    const { answer } = await perform(hostFor(new TableSource({}, "secrets_damaged")), optional);
    expect(answer).toEqual({ kind: "http.request", err: "secrets_damaged" });
  });
});

describe("what comes back has no credential in it", () => {
  const plan = httpPlan({
    secrets: [bound()],
    responseHeaders: ["content-type", "x-echo", "content-length", "content-encoding"],
  });
  const echo = JSON.stringify({ you: `sent Bearer ${PLAIN}`, coded: btoa(`Bearer ${PLAIN}`) });
  const codings: readonly (readonly [string, (text: string) => Uint8Array])[] = [
    ["identity", (text) => Buffer.from(text)],
    ["gzip", (text) => gzipSync(text)],
    ["x-gzip", (text) => gzipSync(text)],
    ["br", (text) => brotliCompressSync(text)],
    ["zstd", (text) => zstdCompressSync(text)],
    ["deflate", (text) => deflateSync(text)],
    ["deflate", (text) => deflateRawSync(text)],
    ["gzip, br", (text) => brotliCompressSync(gzipSync(text))],
  ];
  test.each(codings)("%s", async (coding, encode) => {
    const body = encode(echo);
    reply = () => ({
      body,
      headers: { "content-encoding": coding, "x-echo": `is ${PLAIN}`, "content-type": "application/json" },
    });
    const { answer, effect, said, redactions } = await perform(
      hostFor(new TableSource({ TOKEN: PLAIN })),
      plan,
    );
    const ok = okOf(answer);
    const text = Buffer.from(ok.body).toString();
    expect(text).toStartWith('{"you":"sent Bearer [redacted]","coded":"');
    expect(text).not.toContain(btoa(`Bearer ${PLAIN}`).slice(12, -4));
    expect(Object.fromEntries(ok.headers)).toEqual({
      "content-type": "application/json",
      "x-echo": "is [redacted]",
      "content-length": String(ok.body.length),
    });
    expect(effect).toMatchObject({
      responseBytes: body.length,
      responseHash: new Bun.CryptoHasher("sha256").update(ok.body).digest("hex"),
      scrubbed: 3,
    });
    expect([said, redactions]).toEqual([{ said: "the component says [redacted]" }, 4]);
  });

  test.each([
    ["the password of a pair", "robot:pass-word-1", "robot and pass-word-1", "robot and [redacted]"],
    ["a key without a password", "key-0123456789:", "your key is key-0123456789", "your key is [redacted]"],
  ])("%s by itself", async (_name, value, body, wanted) => {
    reply = () => ({ body });
    const basic = bound({ in: "basic", format: "{secret}" });
    const { answer } = await perform(
      hostFor(new TableSource({ TOKEN: value })),
      httpPlan({ secrets: [basic] }),
    );
    expect(Buffer.from(okOf(answer).body).toString()).toBe(wanted);
  });

  test.each<[string, Partial<HttpPlan>, Partial<SecretBinding>, string]>([
    [
      "json body",
      { method: "POST", body: Buffer.from("{}") },
      { in: "body", name: "/k", format: "{secret}" },
      TOKEN,
    ],
    [
      "form body",
      { method: "POST", body: Buffer.from("") },
      { in: "body", name: "k", format: "{secret}" },
      TOKEN,
    ],
    ["query", {}, { in: "query", name: "k", format: "{secret}" }, TOKEN],
    ["path", { url: `${ORIGIN}/a%7Bt%7D/b` }, { in: "path", name: "t", format: "{secret}" }, TOKEN],
    ["basic", {}, { in: "basic", format: "{secret}" }, `robot:${TOKEN}`],
  ])(
    "a server that gives back the whole request, in any coding: %s",
    async (_name, changes, binding, value) => {
      const host = hostFor(new TableSource({ TOKEN: value }));
      let whole = "";
      for (const coding of ["utf8", "base64", "base64url", "hex"] as const)
        for (const nested of [(text: string) => text, JSON.stringify, encodeURIComponent]) {
          reply = ({ url, raw, body }) => {
            whole = `${url} ${raw.join(" ")} ${Buffer.from(body, "latin1").toString("utf8")}`;
            return { body: nested(Buffer.from(whole).toString(coding)) };
          };
          const planned = httpPlan({ ...changes, secrets: [bound(binding)] });
          const { answer, effect } = await perform(host, planned);
          const text = Buffer.from(okOf(answer).body).toString();
          expect(effect.scrubbed).toBeGreaterThan(0);
          const decoded = [text, decodeLoosely(text), JSON.stringify(text)];
          for (const one of decoded)
            for (const encoding of ["utf8", "base64", "base64url", "hex"] as const)
              expect(Buffer.from(one.replaceAll("[redacted]", ""), encoding).toString()).not.toContain(value);
        }
    },
  );

  test.each([
    ["cut off", gzipSync(echo).subarray(0, 40)],
    ["followed by something else", Buffer.concat([gzipSync(echo), Buffer.from(PLAIN)])],
    ["not gzip at all", Buffer.from(PLAIN)],
  ])("a coded body that is %s is no answer", async (_name, body) => {
    reply = () => ({ body, headers: { "content-encoding": "gzip" } });
    const { answer, effect } = await perform(hostFor(new TableSource({ TOKEN: PLAIN })), plan);
    expect(answer).toEqual({ kind: "http.request", err: "malformed_response" });
    expect([effect.reached, effect.responseHash]).toEqual(["maybe", null]);
  });

  test.each(["compress", "gzip, gzip, gzip, gzip"])(
    "a coding that cannot be read is refused: %s",
    async (coding) => {
      reply = () => ({ body: PLAIN, headers: { "content-encoding": coding } });
      const { answer } = await perform(hostFor(new TableSource({ TOKEN: PLAIN })), plan);
      expect(answer).toEqual({ kind: "http.request", err: "malformed_response" });
    },
  );

  test.each([
    ["gzip", gzipSync],
    ["deflate", deflateSync],
    ["br", brotliCompressSync],
    ["zstd", zstdCompressSync],
    ["gzip, gzip", (bytes: Uint8Array) => gzipSync(gzipSync(bytes))],
    ["gzip, br, zstd", (bytes: Uint8Array) => zstdCompressSync(brotliCompressSync(gzipSync(bytes)))],
  ] as const)("a %s bomb stops at the limit, and the next call is served", async (coding, encode) => {
    const bomb = encode(Buffer.alloc(32 * 1024 * 1024));
    const host = hostFor(new TableSource({ TOKEN: PLAIN }));
    reply = () => ({ body: bomb, headers: { "content-encoding": coding } });
    const { answer } = await perform(host, plan);
    expect(bomb.length).toBeLessThan(65_536);
    expect(answer).toEqual({ kind: "http.request", err: "response_too_large" });
    reply = quiet;
    expect(okOf((await perform(host, plan)).answer).status).toBe(200);
  });

  test("zstd that asks for more memory than every decoder has is refused (RFC 8878 §3.1.1.1.2)", async () => {
    const frame = zstdCompressSync("a".repeat(30_000), {
      params: { [constants.ZSTD_c_contentSizeFlag]: 0 },
    });
    for (const [windowLog, code] of [
      [23, null],
      [24, "malformed_response"],
      [41, "malformed_response"],
    ] as const) {
      const body = Buffer.from(frame);
      // The window descriptor, behind magic number and frame header descriptor.
      body[5] = (windowLog - 10) << 3;
      reply = () => ({ body, headers: { "content-encoding": "zstd" } });
      const { effect } = await perform(hostFor(null), httpPlan());
      expect([windowLog, effect.error]).toEqual([windowLog, code]);
    }
  });

  test("a body in pieces, the credential across them", async () => {
    const body = `${"x".repeat(40_000)}${PLAIN}${"y".repeat(20_000)}`;
    reply = () => ({ body });
    const { answer } = await perform(hostFor(new TableSource({ TOKEN: PLAIN })), plan);
    expect(Buffer.from(okOf(answer).body).toString()).toBe(body.replace(PLAIN, "[redacted]"));
  });

  test("without a credential the body is as it was decoded", async () => {
    reply = () => ({ body: gzipSync(echo), headers: { "content-encoding": "gzip" } });
    const { answer, effect } = await perform(hostFor(null), httpPlan());
    expect(Buffer.from(okOf(answer).body).toString()).toBe(echo);
    expect(effect.scrubbed).toBe(0);
  });
});
