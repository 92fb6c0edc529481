/** Object stores behind the operator's proxy: the same tunnel as for http, and nothing of a request outside of it. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { type Connections, NO_CONNECTIONS } from "../../../src/core/plan/connections.ts";
import type { StoragePlan } from "../../../src/core/plan.ts";
import { createHost, type Host, type HostOptions } from "../../../src/host/index.ts";
import { issue, makeAuthority } from "../../certificates.ts";
import { type S3Store, startS3Store } from "../../s3-store.ts";
import { type Origin, startPlainOrigin } from "../origin.ts";
import { callFor, doorRequest, storagePlan } from "../plans.ts";
import { TableSource } from "../secrets.ts";

const HOST = "s3.example.com";
const PUBLIC = "93.184.215.14";
const SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const LOGIN = "gate:proxy-password";
const authority = makeAuthority("proxied store");
const hosts: Host[] = [];
let store: S3Store;
let proxy: Origin;
let plan: StoragePlan;
/** Heads of the requests that the proxy got. */
let heads: string[] = [];
let answer: ((socket: Socket) => void) | null = null;

beforeAll(async () => {
  const identity = issue(authority, { names: [HOST, `*.${HOST}`] });
  const base = storagePlan();
  store = await startS3Store({
    identity,
    keyId: base.endpoint.accessKeyId,
    secret: SECRET,
    region: base.endpoint.region,
    host: HOST,
  });
  plan = { ...base, ifNoneMatch: false, endpoint: { ...base.endpoint, port: store.port } };
  proxy = await startPlainOrigin((socket, received) => {
    if (!received.endsWith("\r\n\r\n")) return;
    heads.push(received);
    socket.removeAllListeners("data");
    if (answer !== null) return answer(socket);
    const onward = connect({ host: "127.0.0.1", port: store.port }, () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      socket.pipe(onward).pipe(socket);
    });
    onward.on("error", () => socket.destroy());
    socket.on("close", () => onward.destroy());
  });
});
beforeEach(() => {
  heads = [];
  answer = null;
});
afterAll(async () => {
  for (const host of hosts) await host.close();
  await proxy.close();
  await store.close();
});

function connectionsOf(endpoint = plan.endpoint, ca = authority.certificate): Connections {
  const entry = { endpoint, buckets: null, keys: null, secret: plan.secret, ca };
  return { ...NO_CONNECTIONS, storage: new Map([[plan.connection, entry]]) };
}

function hostFor(options: HostOptions = {}): Host {
  const host = createHost({
    connections: connectionsOf(),
    secrets: new TableSource({ S3_SECRET: SECRET }),
    proxy: { url: `http://127.0.0.1:${proxy.port}`, secret: null },
    testing: { resolve: async () => [{ address: PUBLIC, ttl: 60 }] },
    ...options,
  });
  hosts.push(host);
  return host;
}

async function put(host: Host, principal = "agent:test", wanted = plan) {
  const door = host.door(doorRequest(wanted, { caller: { tenant: "default", principal } }));
  await door.call(callFor(wanted));
  await door.close();
  const [effect] = door.effects();
  if (effect?.kind !== "storage") throw new Error("no storage effect");
  return effect;
}

const HEAD = () => `CONNECT ${PUBLIC}:${store.port} HTTP/1.1\r\nhost: ${PUBLIC}:${store.port}\r\n\r\n`;

test("a store at a public address is reached through the proxy, which hears the judged address and no name", async () => {
  const host = hostFor();
  for (let i = 0; i < 3; i++)
    expect(await put(host)).toMatchObject({
      address: PUBLIC,
      status: 200,
      reached: "confirmed",
      error: null,
    });
  expect(heads).toEqual([HEAD()]);
});

test("the bucket before the host is no name for the proxy either", async () => {
  const endpoint = { ...plan.endpoint, addressing: "host" as const };
  const host = hostFor({ connections: connectionsOf(endpoint) });
  expect((await put(host, "ann", { ...plan, endpoint })).error).toBeNull();
  expect([heads, store.seen.at(-1)?.host]).toEqual([[HEAD()], `reports.${HOST}:${store.port}`]);
});

test.each(["127.0.0.1", "10.1.2.3"])("a store at %s is dialled directly", async (address) => {
  const dial = (_: string, port: number) => ({ address: "127.0.0.1", port });
  const host = hostFor({ testing: { resolve: async () => [{ address, ttl: 60 }], dial } });
  expect(await put(host)).toMatchObject({ address, status: 200, error: null });
  expect(heads).toEqual([]);
});

test("the login goes to the proxy alone, and a tunnel serves no other principal", async () => {
  const secrets = new TableSource({ S3_SECRET: SECRET, PROXY_LOGIN: LOGIN });
  const host = hostFor({ secrets, proxy: { url: `http://127.0.0.1:${proxy.port}`, secret: "PROXY_LOGIN" } });
  const seen = store.seen.length;
  for (const principal of ["ann", "ann", "bob"]) expect((await put(host, principal)).error).toBeNull();
  const withLogin = HEAD().replace(/\r\n$/, `proxy-authorization: Basic ${btoa(LOGIN)}\r\n\r\n`);
  expect(heads).toEqual([withLogin, withLogin]);
  const arrived = JSON.stringify(store.seen.slice(seen));
  for (const hidden of [LOGIN, btoa(LOGIN), "proxy-password", SECRET]) expect(arrived).not.toContain(hidden);
  expect(secrets.out.size).toBe(0);
});

test("without its login nothing leaves", async () => {
  const setting = { url: `http://127.0.0.1:${proxy.port}`, secret: "PROXY_LOGIN" };
  const seen = store.seen.length;
  expect(await put(hostFor({ proxy: setting }))).toMatchObject({ error: "secret_missing", reached: "none" });
  expect([heads, store.seen.length]).toEqual([[], seen]);
});

test("a proxy that refuses leaves the store unreached, and nothing goes around it", async () => {
  answer = (socket) => void socket.end("HTTP/1.1 403 No\r\n\r\n");
  const seen = store.seen.length;
  expect(await put(hostFor())).toMatchObject({ error: "proxy_refused", reached: "none" });
  expect([heads.length, store.seen.length]).toEqual([1, seen]);
});

test("the certificate is that of the store, not of whoever answers behind the proxy", async () => {
  const connections = connectionsOf(plan.endpoint, makeAuthority("stranger").certificate);
  const seen = store.seen.length;
  expect(await put(hostFor({ connections }))).toMatchObject({ error: "tls_failed", reached: "none" });
  expect([heads.length, store.seen.length]).toEqual([1, seen]);
});
