/** The storage broker against a store that others wrote: its own signature check, its own conditional writes. */
import { afterAll, beforeAll, expect } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NO_CONNECTIONS } from "../../../src/core/plan/connections.ts";
import type { StoragePlan } from "../../../src/core/plan.ts";
import { createHost, type Host } from "../../../src/host/index.ts";
import { issue, makeAuthority } from "../../certificates.ts";
import { freePort } from "../../free-port.ts";
import { requireTool } from "../../require-tool.ts";
import { untilPrinted } from "../../until-printed.ts";
import { callFor, doorRequest, storagePlan } from "../plans.ts";

const PROGRAM = process.env.LATCHGATE_VERSITYGW ?? "versitygw";
const test = requireTool(PROGRAM, "go install github.com/versity/versitygw/cmd/versitygw@v1.8.0");
const HOST = "s3.example.com";
const SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

const home = mkdtempSync(join(tmpdir(), "latchgate-versitygw-"));
const authority = makeAuthority("store authority");
let child: ReturnType<typeof start> | null = null;
let port: number;

function start(at: number) {
  const words = ["--port", `127.0.0.1:${at}`, "--access", "AKIDEXAMPLE", "--secret", SECRET];
  const place = [
    "--region",
    "eu-central-1",
    "--cert",
    join(home, "cert.pem"),
    "--key",
    join(home, "key.pem"),
  ];
  const backend = ["posix", "--sidecar", join(home, "side"), join(home, "root")];
  return Bun.spawn([PROGRAM, ...words, ...place, "--keep-alive", ...backend], {
    env: { PATH: process.env.PATH ?? "", HOME: home },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
  });
}

beforeAll(async () => {
  if (Bun.which(PROGRAM) === null) return;
  for (const folder of ["root/reports", "side"]) mkdirSync(join(home, folder), { recursive: true });
  const identity = issue(authority, { names: [HOST] });
  writeFileSync(join(home, "cert.pem"), identity.cert);
  writeFileSync(join(home, "key.pem"), identity.key, { mode: 0o600 });
  port = await freePort();
  child = start(port);
  const printed = await untilPrinted(child.stdout, "listening on");
  if (printed !== null) throw new Error(`versitygw did not start: ${printed}`);
});

afterAll(async () => {
  child?.kill("SIGKILL");
  await child?.exited;
  rmSync(home, { recursive: true, force: true });
});

async function ask(plan: StoragePlan, secret = SECRET, ca: string | null = authority.certificate) {
  const { endpoint, connection } = plan;
  const entry = { endpoint, buckets: null, keys: null, secret: plan.secret, ca };
  const host: Host = createHost({
    connections: { ...NO_CONNECTIONS, storage: new Map([[connection, entry]]) },
    secrets: { open: async () => ({ bytes: () => Buffer.from(secret), release: () => undefined }) },
    testing: { resolve: async () => [{ address: "127.0.0.1", ttl: 60 }] },
  });
  const door = host.door(doorRequest(plan));
  const answer = await door.call(callFor(plan));
  await door.close();
  await host.close();
  return { answer, effect: door.effects()[0] };
}

const planned = (changes: Partial<StoragePlan> = {}) =>
  storagePlan({ endpoint: { ...storagePlan().endpoint, port }, ...changes });
const get = (key: string) =>
  planned({ key, operation: "get", content: null, contentType: null, ifNoneMatch: false });

test("an object with an odd key is put and got", async () => {
  for (const key of ["2026/a.pdf", "a b+c/ä~'()*!", "100%/x=1&y"]) {
    expect((await ask(planned({ key }))).effect).toMatchObject({ status: 200, error: null });
    expect(readFileSync(join(home, "root/reports", key)).toString()).toBe("content");
    expect((await ask(get(key))).answer).toMatchObject({ ok: { contentType: "application/pdf" } });
  }
});

test("conditions hold there", async () => {
  const plan = planned({ key: "conditions" });
  const first = await ask(plan);
  expect((await ask(plan)).effect).toMatchObject({ status: 412, error: "object_exists" });
  const change = { ...plan, ifNoneMatch: false, content: Buffer.from("other") };
  expect((await ask({ ...change, ifMatch: '"0000"' })).effect).toMatchObject({ error: "conflict" });
  const etag = first.effect?.kind === "storage" ? first.effect.etag : null;
  expect((await ask({ ...change, ifMatch: etag })).effect).toMatchObject({ status: 200, error: null });
});

test("another secret is refused, and what is not there is told", async () => {
  expect((await ask(planned({ key: "b" }), "another secret access key")).effect).toMatchObject({
    status: 403,
    error: "authentication_failed",
  });
  expect((await ask(get("nothing"))).effect).toMatchObject({ status: 404, error: "object_not_found" });
  const elsewhere = { ...get("nothing"), bucket: "no-such-bucket" };
  expect((await ask(elsewhere)).effect).toMatchObject({ status: 404, error: "storage_refused" });
});

test("another key pair or region is refused, and stores nothing", async () => {
  const { endpoint } = planned();
  for (const changes of [{ accessKeyId: "AKIDOTHER" }, { region: "us-east-1" }]) {
    const wrong = { endpoint: { ...endpoint, ...changes } };
    for (const plan of [planned({ ...wrong, key: "refused" }), { ...get("refused"), ...wrong }]) {
      const { answer, effect } = await ask(plan);
      expect([changes, answer]).toMatchObject([changes, { err: "authentication_failed" }]);
      expect(effect).toMatchObject({ reached: "confirmed", error: "authentication_failed", etag: null });
    }
  }
  expect(existsSync(join(home, "root/reports/refused"))).toBe(false);
});

test("under another name, or by an unknown authority, it is told nothing", async () => {
  const { endpoint } = planned();
  const other = planned({ key: "untold", endpoint: { ...endpoint, host: "other.example.com" } });
  const stranger = makeAuthority("stranger").certificate;
  for (const asked of [
    ask(other),
    ask(planned({ key: "untold" }), SECRET, stranger),
    ask(planned({ key: "untold" }), SECRET, null),
  ])
    expect((await asked).effect).toMatchObject({ reached: "none", error: "tls_failed", status: null });
  expect(existsSync(join(home, "root/reports/untold"))).toBe(false);
});
