import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { HostAnswer, HostCall } from "../../../src/core/host-call.ts";
import { type BuiltinName, loadBuiltins, type Sandbox } from "../../../src/sandbox/index.ts";
import { LIMITS, openSandbox, run, ScriptedDoor } from "../laboratory.ts";

let sandbox: Sandbox;
const digests = new Map<BuiltinName, string>();

beforeAll(async () => {
  sandbox = await openSandbox();
  for (const [name, component] of await loadBuiltins()) {
    sandbox.register(component);
    digests.set(name, component.digest);
  }
});

afterAll(() => sandbox.close());

interface CatalogueLimits {
  readonly fuel: number;
  readonly memory_mb: number;
  readonly request_kb: number;
  readonly response_kb: number;
}

function catalogueLimits(action: string): CatalogueLimits {
  const path = join(import.meta.dir, "../../../providers/actions", `${action}.yaml`);
  return (parse(readFileSync(path, "utf8")) as { readonly limits: CatalogueLimits }).limits; // a manifest that loads
}

/** As much as may come back. */
function answering(bytes: number) {
  const content = Uint8Array.from(Buffer.alloc(bytes, "latchgate"));
  return (call: HostCall): HostAnswer => {
    if (call.kind === "http.request")
      return { kind: call.kind, ok: { status: 200, headers: [], body: content } };
    if (call.kind === "fs.read")
      return { kind: call.kind, ok: { content, hash: new Uint8Array(32), sizeBytes: bytes } };
    if (call.kind === "fs.delete") return { kind: call.kind, ok: { ok: true } };
    if (call.kind === "smtp.send")
      return { kind: call.kind, ok: { messageId: "m@example.com", accepted: 1 } };
    if (call.kind === "queue.publish") return { kind: call.kind, ok: { messageId: "m" } };
    const hash = new Uint8Array(32);
    if (call.kind === "storage.put-object")
      return { kind: call.kind, ok: { etag: '"e"', contentHash: hash, bytesWritten: bytes } };
    if (call.kind === "storage.get-object")
      return { kind: call.kind, ok: { content, contentType: "text/plain", etag: '"e"', hash } };
    if (call.kind !== "fs.write") throw new Error(`no answer to ${call.kind}`);
    const written = { beforeHash: null, afterHash: new Uint8Array(32), bytesBefore: 0, bytesWritten: bytes };
    return { kind: call.kind, ok: written };
  };
}

const http = (method: string, body_base64: string | null) =>
  JSON.stringify({ method, url: "https://api.example.com/", headers: [], body_base64, timeout_ms: 0 });
const fs = (operation: string, content_base64: string | null) =>
  JSON.stringify({ operation, path: "a", content_base64, expected_before_hash: null });

const mail = (text: string) =>
  JSON.stringify({ to: ["a@example.com"], cc: [], bcc: [], subject: "s", text, html: null, headers: [] });
const queue = (payload_base64: string) => {
  const place = { connection: "main", exchange: "", routing_key: "k" };
  return JSON.stringify({ ...place, payload_base64, content_type: "application/json", headers: [] });
};
const storage = (operation: string, content_base64: string | null) => {
  const place = { operation, connection: "main", bucket: "reports", key: "a" };
  return JSON.stringify({
    ...place,
    content_base64,
    content_type: null,
    if_none_match: true,
    if_match: null,
  });
};

test.each([
  ["http_fetch", "http_api", () => http("GET", null)],
  ["web_read", "http_api", () => http("GET", null)],
  ["http_delete", "http_api", () => http("DELETE", null)],
  ["http_post", "http_api", (body: string) => http("POST", body)],
  ["http_put", "http_api", (body: string) => http("PUT", body)],
  ["fs_read", "fs", () => fs("read", null)],
  ["fs_write", "fs", (body: string) => fs("create", body)],
  ["fs_delete", "fs", () => fs("delete", null)],
  ["email_send", "smtp", mail],
  ["queue_publish", "queue", queue],
  ["s3_put", "storage", (body: string) => storage("put", body)],
  ["s3_get", "storage", () => storage("get", null)],
] as const)(
  "%s has ten times the fuel that its largest call takes, and takes as much each time",
  async (action, provider, task) => {
    const limits = catalogueLimits(action);
    const requestBytes = limits.request_kb * 1_024;
    const responseBytes = limits.response_kb * 1_024;
    const bodyBytes = Math.floor((requestBytes * 3) / 4) - 3;
    const body = Buffer.alloc(bodyBytes, "latchgate").toString("base64");
    const request = {
      task: task(body),
      limits: { ...LIMITS, fuel: limits.fuel, memoryMb: limits.memory_mb, requestBytes, responseBytes },
      door: new ScriptedDoor(answering(responseBytes)),
    };
    const digest = digests.get(provider) ?? "";
    const first = await run(sandbox, digest, request);
    const second = await run(sandbox, digest, request);
    if (first.status !== "ok" || second.status !== "ok") throw new Error(`${first.status}, ${second.status}`);
    expect(first.fuel).toBeGreaterThan(2_000);
    // As docs/providers.md has it.
    expect(first.fuel).toBeLessThan(3_000 + 0.45 * responseBytes + 1.8 * bodyBytes);
    expect(first.fuel).toBeLessThan(limits.fuel / 10);
    expect(second.fuel).toBe(first.fuel);
    expect(second.peakMemoryBytes).toBe(first.peakMemoryBytes);
  },
  20_000,
);

test("the most headers that an answer may have take less than what every manifest leaves for them", async () => {
  const headers = Array.from({ length: 1_000 }, (_, i) => [`x-${i}`, "\u0001".repeat(60)] as const);
  const door = new ScriptedDoor((call) => ({
    kind: "http.request",
    ok: { status: 200, headers: call.kind === "http.request" ? headers : [], body: new Uint8Array() },
  }));
  const outcome = await run(sandbox, digests.get("http_api") ?? "", { task: http("GET", null), door });
  if (outcome.status !== "ok") throw new Error(outcome.status);
  expect(outcome.fuel).toBeGreaterThan(60_000);
  expect(outcome.fuel).toBeLessThan(200_000);
});
