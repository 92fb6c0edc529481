/**
 * The limits of the shipped file actions can be reached, and what an approver allows is done: the largest file that a
 * manifest names goes all the way, and so does a path that only a human allowed.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";
import { UNHURRIED } from "./upstream-server.ts";

const KB = 1024;
/** `fs.max_file_kb` of fs_write and fs_read. */
const WRITTEN = 720 * KB;
const READ = 4096 * KB;

let gate: GateProcess;
let agent: WireAgent;
let operator: WireOperator;

beforeAll(async () => {
  gate = await startGate({
    policy: openPolicy(),
    config: UNHURRIED,
    files: { "src/a.txt": "before", "notes/a.txt": "", "notes/.env": "SECRET=1" },
  });
  agent = await WireAgent.connect(gate.clientSocket);
  operator = await WireOperator.of(gate);
});
afterAll(() => gate[Symbol.asyncDispose]());

const hashOf = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
/** Bytes that are no text. */
const bytes = (length: number) =>
  Buffer.alloc(
    length,
    Uint8Array.from({ length: 251 }, (_, i) => 255 - i),
  );

test.each([
  ["text", { content: "x".repeat(WRITTEN) }, Buffer.alloc(WRITTEN, "x")],
  ["base64", { content_base64: bytes(WRITTEN).toString("base64") }, bytes(WRITTEN)],
] as const)("the largest file of fs_write is written, as %s", async (_as, content, wanted) => {
  const held = await agent.execute("fs_write", { path: "src/a.txt", ...content });
  expect(held.status).toBe(202);
  const approved = await operator.approve(held.body.approval_id);
  expect(approved.body).toMatchObject({
    status: "executed",
    output: { after_hash: hashOf(wanted), bytes_written: WRITTEN },
  });
  expect(hashOf(readFileSync(join(gate.root, "src/a.txt")))).toBe(hashOf(wanted));
});

test("one byte more is refused under its own code, before anybody is asked", async () => {
  const { count } = (await operator.call("GET", "/v1/approvals")).body;
  const refused = await agent.execute("fs_write", { path: "src/a.txt", content: "x".repeat(WRITTEN + 1) });
  expect(refused.status).toBeGreaterThanOrEqual(400);
  expect(refused.text).toContain("737280 characters");
  expect((await operator.call("GET", "/v1/approvals")).body.count).toBe(count);
});

test.each([
  ["text", Buffer.alloc(READ, "x"), (output: { text: string }) => Buffer.from(output.text)],
  ["bytes", bytes(READ), (output: { base64: string }) => Buffer.from(output.base64, "base64")],
] as const)("the largest file of fs_read is read, as %s", async (_as, content, got) => {
  writeFileSync(join(gate.root, "src/large"), content);
  const done = await agent.execute("fs_read", { path: "src/large" });
  expect(done.body).toMatchObject({ status: "executed", output: { ok: true, hash: hashOf(content) } });
  expect(hashOf(got(done.body.output))).toBe(hashOf(content));
});

test("one byte more is a failure with its own code and a receipt", async () => {
  writeFileSync(join(gate.root, "src/large"), Buffer.alloc(READ + 1, "x"));
  const done = await agent.execute("fs_read", { path: "src/large" });
  expect(done.body).toMatchObject({ status: "failed", dispatched: "no", failure: "too_large" });
  const receipt = await agent.receipt(done.body.receipt_id);
  expect(receipt.body).toMatchObject({
    signature_status: "valid",
    effect_evidence: [{ error: "too_large" }],
  });
});

test("a path outside the list is written once a human allows it, and nothing beside it", async () => {
  const held = await agent.execute("fs_write", { path: "notes/a.txt", content: "allowed" });
  expect(held.status).toBe(202);
  const shown = (await operator.call("GET", `/v1/approvals/${held.body.approval_id}`)).body;
  expect(shown).toMatchObject({ unresolved_paths: ["notes/a.txt"], plan: { path: "notes/a.txt" } });
  expect(shown.plan.deny).toContain("**/.env");
  const approved = await operator.approve(held.body.approval_id);
  expect(approved.body).toMatchObject({ status: "executed", output: { path: "notes/a.txt" } });
  expect(readFileSync(join(gate.root, "notes/a.txt"), "utf8")).toBe("allowed");
});

test.each(["notes/.env", "notes/.ENV", "notes/a/.env.local", "src/.env", ".git/config"])(
  "no human can allow what the manifest denies: %s",
  async (path) => {
    const { count } = (await operator.call("GET", "/v1/approvals")).body;
    for (const action of ["fs_write", "fs_delete"]) {
      const refused = await agent.execute(action, {
        path,
        ...(action === "fs_write" ? { content: "x" } : {}),
      });
      expect([action, refused.status]).toEqual([action, 403]);
    }
    expect((await operator.call("GET", "/v1/approvals")).body.count).toBe(count);
    expect(readFileSync(join(gate.root, "notes/.env"), "utf8")).toBe("SECRET=1");
  },
);
