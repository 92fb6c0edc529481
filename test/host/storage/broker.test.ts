import { afterEach, describe, expect, test } from "bun:test";
import { sha256Hex } from "../../../src/core/bytes.ts";
import type { StorageEffect } from "../../../src/core/effect.ts";
import type { HostAnswer } from "../../../src/core/host-call.ts";
import { NO_CONNECTIONS } from "../../../src/core/plan/connections.ts";
import type { StoragePlan } from "../../../src/core/plan.ts";
import { createHost, type Host, type HostOptions } from "../../../src/host/index.ts";
import { issue, makeAuthority } from "../../certificates.ts";
import { type S3Store, type S3StoreSetup, startS3Store } from "../../s3-store.ts";
import { callFor, doorRequest, LIMITS, storagePlan } from "../plans.ts";

const HOST = "s3.example.com";
const SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const REGION = "eu-central-1";
const authority = makeAuthority("store authority");
const identity = issue(authority, { names: [HOST, `*.${HOST}`] });

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function hostFor(plan: StoragePlan, options: Partial<HostOptions> = {}, secret = SECRET): Host {
  const { endpoint, connection } = plan;
  const ca = endpoint.tls === "off" ? null : authority.certificate;
  const entry = { endpoint, buckets: null, keys: null, secret: plan.secret, ca };
  const host = createHost({
    connections: { ...NO_CONNECTIONS, storage: new Map([[connection, entry]]) },
    secrets: { open: async () => ({ bytes: () => Buffer.from(secret), release: () => undefined }) },
    testing: { resolve: async () => [{ address: "127.0.0.1", ttl: 60 }] },
    ...options,
  });
  closing.push(() => host.close());
  return host;
}

async function scene(setup: Partial<S3StoreSetup> = {}, changes: Partial<StoragePlan["endpoint"]> = {}) {
  const store = await startS3Store({
    identity,
    keyId: "AKIDEXAMPLE",
    secret: SECRET,
    region: REGION,
    host: HOST,
    ...setup,
  });
  closing.push(() => store.close());
  const base = storagePlan();
  const plan = storagePlan({ endpoint: { ...base.endpoint, port: store.port, ...changes } });
  return { store, plan, host: hostFor(plan) };
}

async function ask(host: Host, plan: StoragePlan): Promise<{ answer: HostAnswer; effect: StorageEffect }> {
  const door = host.door(doorRequest(plan));
  const answer = await door.call(callFor(plan));
  await door.close();
  const [effect] = door.effects();
  if (effect?.kind !== "storage") throw new Error("no storage effect");
  return { answer, effect };
}

const get = (plan: StoragePlan): StoragePlan => ({
  ...plan,
  operation: "get",
  content: null,
  contentType: null,
  ifNoneMatch: false,
});
const one = (store: S3Store, name = "reports/2026/a.pdf") => store.objects.get(name);

describe.each(["path", "host"] as const)("with the bucket in the %s", (addressing) => {
  test("an object is put and got as planned", async () => {
    const { store, plan, host } = await scene({}, { addressing });
    const put = await ask(host, plan);
    const etag = one(store)?.etag ?? "";
    expect(one(store)).toMatchObject({ content: plan.content, contentType: "application/pdf" });
    expect(put.answer).toMatchObject({ ok: { etag, bytesWritten: 7 } });
    expect(put.effect).toMatchObject({
      address: "127.0.0.1",
      requestHash: sha256Hex("content"),
      status: 200,
      etag,
      version: "v1",
      reached: "confirmed",
      error: null,
    });
    const got = await ask(host, get(plan));
    expect(got.answer).toMatchObject({ ok: { etag, contentType: "application/pdf" } });
    expect(got.effect).toMatchObject({ responseHash: sha256Hex("content"), responseBytes: 7, error: null });
  });
});

test("keys of every kind arrive as they are", async () => {
  const { store, plan, host } = await scene();
  for (const key of ["a b+c", "ä/ö.txt", "~'()*!", "q?x=1&y#z", "日本/語", "100%", "a:b@c$d,e;f=g"]) {
    expect((await ask(host, { ...plan, key })).effect).toMatchObject({ status: 200, error: null });
    expect(one(store, `reports/${key}`)).toBeDefined();
  }
});

test.each(["..", "a/../b", "../b", "a//b", "/a", "a/", "./a", "a/%2e%2e/b", "a%2Fb", "a\\b", "a\nb", ""])(
  "the key %j goes nowhere",
  async (key) => {
    const { store, plan, host } = await scene();
    expect((await ask(host, { ...plan, key })).effect).toMatchObject({
      reached: "none",
      error: "path_not_allowed",
    });
    expect(store.seen).toEqual([]);
  },
);

test.each(["Reports", "a", "a..b", "127.0.0.1", "a/b", "..", "a_b", "evil.example#"])(
  "the bucket %j goes nowhere",
  async (bucket) => {
    const { store, plan, host } = await scene();
    expect((await ask(host, { ...plan, bucket })).effect).toMatchObject({ reached: "none" });
    expect(store.seen).toEqual([]);
  },
);

describe("conditions", () => {
  test("create fails when the object is there, and leaves it", async () => {
    const { store, plan, host } = await scene();
    await ask(host, plan);
    const again = await ask(host, { ...plan, content: Buffer.from("other") });
    expect(again.answer).toEqual({ kind: "storage.put-object", err: "object_exists" });
    expect(again.effect).toMatchObject({
      reached: "confirmed",
      status: 412,
      error: "object_exists",
      etag: null,
    });
    expect(one(store)?.content.toString()).toBe("content");
  });

  test("an overwrite replaces the version that it names, and no other", async () => {
    const { store, plan, host } = await scene();
    await ask(host, plan);
    const change = { ...plan, ifNoneMatch: false, content: Buffer.from("other") };
    const wrong = await ask(host, { ...change, ifMatch: '"0000"' });
    expect(wrong.effect).toMatchObject({ status: 412, error: "conflict" });
    expect(one(store)?.content.toString()).toBe("content");
    expect((await ask(host, { ...change, ifMatch: one(store)?.etag ?? "" })).effect.error).toBeNull();
    expect(one(store)?.content.toString()).toBe("other");
  });
});

describe("the key pair", () => {
  test.each([
    ["another secret", {}, "another secret access key"],
    ["another region", { region: "us-east-1" }, SECRET],
    ["another name", { keyId: "AKIDOTHER" }, SECRET],
  ])("with %s is refused, and nothing of it comes back", async (_, setup, secret) => {
    const { store, plan } = await scene(setup);
    const { answer, effect } = await ask(hostFor(plan, {}, secret), plan);
    expect(answer).toEqual({ kind: "storage.put-object", err: "authentication_failed" });
    expect(effect).toMatchObject({ reached: "confirmed", status: 403, error: "authentication_failed" });
    expect(store.objects.size).toBe(0);
    // The store has echoed the signature.
    expect(JSON.stringify([answer, effect])).not.toContain("Signature");
    expect(JSON.stringify([answer, effect])).not.toContain(secret);
  });

  test("is never sent, and what is signed is every header", async () => {
    const { store, plan, host } = await scene();
    await ask(host, plan);
    const [seen] = store.seen;
    expect(JSON.stringify(seen)).not.toContain(SECRET);
    expect(seen?.headers["x-amz-content-sha256"]).toBe(sha256Hex("content"));
  });

  test("signs by the gate's clock", async () => {
    const { store, plan } = await scene();
    const clock = { now: () => Date.UTC(2031, 0, 2, 3, 4, 5), monotonic: () => performance.now() };
    await ask(hostFor(plan, { clock }), plan);
    expect(store.seen[0]?.headers["x-amz-date"]).toBe("20310102T030405Z");
  });
});

test.each([
  ["another name", () => issue(authority, { names: ["other.example.com"] })],
  ["an unknown authority", () => issue(makeAuthority("stranger"), { names: [HOST] })],
  [
    "a certificate that has expired",
    () => issue(authority, { names: [HOST], notBefore: new Date(0), notAfter: new Date(86_400_000) }),
  ],
])("a store with %s gets nothing, whatever the environment says", async (_, made) => {
  const { store, plan, host } = await scene({ identity: made() });
  for (const trusting of [false, true]) {
    if (trusting) process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
    const { effect } = await ask(host, plan).finally(() => {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    });
    expect(effect).toMatchObject({ reached: "none", error: "tls_failed" });
  }
  expect(store.seen).toEqual([]);
});

test("what the environment says of stores, credentials and proxies changes nothing", async () => {
  const { store, plan, host } = await scene();
  const proxy = await startS3Store({ keyId: "x", secret: "x", region: "x", host: "127.0.0.1" });
  closing.push(() => proxy.close());
  const names: Readonly<Record<string, string>> = {
    AWS_ACCESS_KEY_ID: "AKIDFROMENVIRONMENT",
    AWS_SECRET_ACCESS_KEY: "a secret of the environment",
    AWS_SESSION_TOKEN: "a token of the environment",
    AWS_REGION: "us-west-2",
    AWS_ENDPOINT_URL: `http://127.0.0.1:${proxy.port}`,
    S3_ENDPOINT: `http://127.0.0.1:${proxy.port}`,
    HTTP_PROXY: `http://127.0.0.1:${proxy.port}`,
    HTTPS_PROXY: `http://127.0.0.1:${proxy.port}`,
    https_proxy: `http://127.0.0.1:${proxy.port}`,
  };
  const before = Object.fromEntries(Object.keys(names).map((name) => [name, process.env[name]]));
  Object.assign(process.env, names);
  try {
    expect((await ask(host, plan)).effect).toMatchObject({ status: 200, error: null });
  } finally {
    for (const [name, value] of Object.entries(before))
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
  }
  expect(store.seen[0]?.headers.authorization).toContain("Credential=AKIDEXAMPLE/");
  expect(store.seen[0]?.headers["x-amz-security-token"]).toBeUndefined();
  expect(proxy.seen).toEqual([]);
});

test("an object over the limit of requests goes nowhere", async () => {
  const { store, plan, host } = await scene();
  const door = host.door(doorRequest(plan, { limits: { ...LIMITS, requestBytes: 6 } }));
  expect(await door.call(callFor(plan))).toMatchObject({ err: "request_too_large" });
  await door.close();
  expect(door.effects()).toMatchObject([{ reached: "none", address: null }]);
  expect(store.seen).toEqual([]);
});

describe("answers", () => {
  test("an object that is not there", async () => {
    const { plan, host } = await scene();
    expect((await ask(host, get(plan))).effect).toMatchObject({ status: 404, error: "object_not_found" });
  });

  test.each(["<Error><Code>NoSuchBucket</Code></Error>", "<html>no page here</html>", ""])(
    "a 404 of something else than the object: %s",
    async (body) => {
      const { plan, host } = await scene({
        instead: (_, response) => {
          response.writeHead(404, { "content-length": String(body.length) }).end(body);
          return true;
        },
      });
      expect((await ask(host, get(plan))).effect).toMatchObject({ status: 404, error: "storage_refused" });
    },
  );

  test("an object over the limit is not handed on", async () => {
    const { store, plan, host } = await scene();
    store.objects.set("reports/2026/a.pdf", {
      content: Buffer.alloc(70_000),
      etag: '"e"',
      contentType: null,
    });
    const { answer, effect } = await ask(host, { ...get(plan), maxBytes: 66_000 });
    expect(answer).toMatchObject({ err: "response_too_large" });
    expect(effect).toMatchObject({ responseHash: null, error: "response_too_large" });
  });

  test("nor one below the limit of answers and over that of the plan", async () => {
    const { store, plan, host } = await scene();
    store.objects.set("reports/2026/a.pdf", { content: Buffer.alloc(1000), etag: '"e"', contentType: null });
    expect((await ask(host, { ...get(plan), maxBytes: 999 })).answer).toMatchObject({
      err: "response_too_large",
    });
  });

  test("an object that is not what was stored", async () => {
    const { plan, host } = await scene({
      instead: (seen, response) => {
        if (seen.method !== "GET") return false;
        const sum = Buffer.alloc(32).toString("base64");
        response
          .writeHead(200, { etag: '"e"', "x-amz-checksum-sha256": sum, "content-length": "1" })
          .end("x");
        return true;
      },
    });
    expect((await ask(host, get(plan))).effect).toMatchObject({
      error: "integrity_failed",
      responseHash: null,
    });
  });

  test.each([
    ["without an etag", {}],
    ["with an etag that is no short line", { etag: `"${"x".repeat(300)}"` }],
  ])("a success %s is none that a receipt can name", async (_, headers) => {
    const { plan, host } = await scene({
      instead: (__, response) => {
        response.writeHead(200, { ...headers, "content-length": "0" }).end();
        return true;
      },
    });
    const { answer, effect } = await ask(host, plan);
    expect(answer).toMatchObject({ err: "malformed_response" });
    expect(effect).toMatchObject({ reached: "confirmed", status: 200, etag: null });
  });

  test("a redirect is refused and not followed", async () => {
    const { store, plan, host } = await scene({
      instead: (_, response) => {
        response.writeHead(307, { location: "https://evil.example/", "content-length": "0" }).end();
        return true;
      },
    });
    expect((await ask(host, plan)).effect).toMatchObject({ status: 307, error: "storage_refused" });
    expect(store.seen).toHaveLength(1);
  });

  test("none at all leaves the put unknown, and it is not tried again", async () => {
    const { store, plan, host } = await scene({
      instead: (_, __, socket) => {
        socket.destroy();
        return true;
      },
    });
    expect((await ask(host, plan)).effect).toMatchObject({ reached: "maybe", error: "connection_reset" });
    expect(store.seen).toHaveLength(1);
  });
});

test("clear text to a literal loopback address works", async () => {
  const base = storagePlan().endpoint;
  const store = await startS3Store({
    keyId: base.accessKeyId,
    secret: SECRET,
    region: REGION,
    host: "127.0.0.1",
  });
  closing.push(() => store.close());
  const plan = storagePlan({ endpoint: { ...base, host: "127.0.0.1", port: store.port, tls: "off" } });
  expect((await ask(hostFor(plan), plan)).effect).toMatchObject({ status: 200, error: null });
});

test("a connection that is not that of the plan any more is not used", async () => {
  const { store, plan, host } = await scene();
  for (const changed of [
    { ...plan, endpoint: { ...plan.endpoint, accessKeyId: "AKIDOTHER" } },
    { ...plan, endpoint: { ...plan.endpoint, tls: "off" as const } },
    { ...plan, secret: "OTHER_SECRET" },
    { ...plan, connection: "elsewhere" },
  ])
    expect((await ask(host, changed)).effect).toMatchObject({ reached: "none", error: "connection_missing" });
  expect(store.seen).toEqual([]);
});
