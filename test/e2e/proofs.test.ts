/** Checkpoints, proofs and mirrors through the shipped binary. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createHash, createPublicKey, verify } from "node:crypto";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readProof } from "../../src/ledger/proof/tlog-proof.ts";
import { type GateProcess, openPolicy, runBinary, startGate } from "../gate-process.ts";
import { payloadOf, readRows, withDatabase } from "../ledger/forge.ts";
import { send, WireAgent, WireOperator } from "../wire-client.ts";

let gate: GateProcess;
let agent: WireAgent;
let outside: string;
const receipts: string[] = [];
beforeAll(async () => {
  outside = mkdtempSync(join(tmpdir(), "latchgate-mirrors-"));
  gate = await startGate({
    policy: openPolicy(),
    files: { "README.md": "# hello\n" },
    config: `[evidence]\ncheckpoint_entries = 10\n[[evidence.mirrors]]\npath = "${outside}/mirror"`,
  });
  agent = await WireAgent.connect(gate.clientSocket, { maxCalls: 50 });
  for (let i = 0; i < 6; i++)
    receipts.push((await agent.execute("fs_read", { path: "README.md" })).body.receipt_id);
});
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  rmSync(outside, { recursive: true, force: true });
});

const get = (path: string) => send(gate.clientSocket, { method: "GET", path });
const sizeOf = (note: string) => Number(note.split("\n")[1]);

/** The checkpoint key as the log introduces it. */
function checkpointKey() {
  const opened = payloadOf(readRows(gate.ledger)[0] ?? { jws: "" }) as {
    keys: { checkpoint: Record<string, string> };
  };
  return createPublicKey({ key: opened.keys.checkpoint, format: "jwk" });
}

test("a checkpoint comes after so many entries, to anybody, as a signed note; its signature is the checkpoint key's", async () => {
  const { status, text, headers } = await get("/v1/checkpoint");
  expect({ status, type: headers["content-type"] }).toEqual({
    status: 200,
    type: "text/plain; charset=utf-8",
  });
  expect(sizeOf(text)).toBeGreaterThanOrEqual(10);
  const body = text.slice(0, text.indexOf("\n\n") + 1);
  const blob = Buffer.from(text.trimEnd().split(" ").at(-1) ?? "", "base64");
  expect(verify(null, Buffer.from(body), checkpointKey(), blob.subarray(4))).toBe(true);
  expect(readFileSync(join(outside, "mirror"), "utf8")).toContain(text);
});

test("a receipt is proven to its caller and to operators, and to nobody else", async () => {
  const [id = ""] = receipts;
  const path = `/v1/receipts/${id}/proof`;
  const own = await agent.call("GET", path);
  expect(own.status).toBe(200);
  const read = readProof(own.text);
  const entry = readRows(gate.ledger)[read?.proof.index ?? -1];
  expect(read?.proof.jws).toBe(entry?.jws ?? "");
  expect(payloadOf({ jws: read?.proof.jws ?? "" })).toMatchObject({ type: "call.receipt", receipt_id: id });
  const operator = await WireOperator.of(gate);
  expect((await operator.call("GET", path)).text).toBe(own.text);
  expect((await get(path)).status).toBe(401);
  expect((await agent.call("GET", `/v1/receipts/${crypto.randomUUID()}/proof`)).status).toBe(404);
});

test("a receipt that no checkpoint covers yet gets one, though not as often as somebody asks", async () => {
  const fresh: string[] = [];
  for (let i = 0; i < 2; i++)
    fresh.push((await agent.execute("fs_read", { path: "README.md" })).body.receipt_id);
  const before = sizeOf((await get("/v1/checkpoint")).text);
  const proof = await agent.call("GET", `/v1/receipts/${fresh[1]}/proof`);
  expect(proof.status).toBe(200);
  expect(readProof(proof.text)?.checkpoint.size ?? 0).toBeGreaterThanOrEqual(before);
  const answers = new Set<number>();
  for (let i = 0; i < 3; i++) {
    const { receipt_id } = (await agent.execute("fs_read", { path: "README.md" })).body;
    answers.add((await agent.call("GET", `/v1/receipts/${receipt_id}/proof`)).status);
  }
  expect(answers).toContain(409);
});

test("latchgate prove writes the same proof through the gate and from the file", async () => {
  const [id = ""] = receipts;
  const out = join(gate.root, "receipt.tlog-proof");
  const cli = await WireAgent.connect(gate.clientSocket, { maxCalls: 1 });
  expect(cli.lease).not.toBe("");
  expect(await gate.run("prove", id, "--out", out)).toMatchObject({ code: 0, stdout: "" });
  const text = readFileSync(out, "utf8");
  expect(readProof(text)).not.toBeNull();
  expect(await gate.run("prove", id)).toMatchObject({ code: 0, stdout: text });
  expect(await gate.run("prove", id, "--operator", "default")).toMatchObject({ code: 0, stdout: text });
  expect(await gate.run("prove", id, "--ledger", gate.ledger)).toMatchObject({ code: 0, stdout: text });
  const json = await gate.run("prove", id, "--ledger", gate.ledger, "--json");
  expect(JSON.parse(json.stdout)).toEqual({ ok: true, receipt_id: id, proof: text });
  expect((await gate.run("prove", crypto.randomUUID(), "--ledger", gate.ledger)).code).toBe(3);
  expect((await gate.run("prove", "..", "--ledger", gate.ledger)).code).toBe(3);
  expect((await gate.run("prove", "../x")).code).toBe(2);
});

test("a spoilt node of the tree spoils the proof; it forges none", async () => {
  const copy = join(outside, "spoilt.db");
  withDatabase(gate.ledger, (db) => db.run(`VACUUM INTO '${copy}'`));
  withDatabase(copy, (db) => db.run("UPDATE nodes SET hash = randomblob(32)"));
  const { code, stderr } = await gate.run("prove", receipts[0] ?? "", "--ledger", copy, "--json");
  expect({ code, error: JSON.parse(stderr).error.code }).toEqual({ code: 1, error: "ledger_damaged" });
});

test("stopped, it has a checkpoint over everything; a backup of before is refused, by serve and by rotate-keys", async () => {
  const backup = join(outside, "backup.db");
  withDatabase(gate.ledger, (db) => db.run(`VACUUM INTO '${backup}'`));
  await agent.execute("fs_read", { path: "README.md" });
  expect(await gate.stop()).toBe(0);
  const rows = readRows(gate.ledger);
  const mirror = readFileSync(join(outside, "mirror"), "utf8");
  expect(mirror.match(/^latchgate\/.*\n\d+/gm)?.at(-1)).toEndWith(`\n${rows.length}`);
  const newest = join(outside, "newest.db");
  cpSync(gate.ledger, newest);
  for (const suffix of ["-wal", "-shm"]) expect(existsSync(gate.ledger + suffix)).toBe(false);
  cpSync(backup, gate.ledger);
  for (const command of [["serve"], ["rotate-keys"]]) {
    const { code, stderr } = await runBinary([...command, "--json", "--dir", gate.dir], {
      cwd: gate.root,
      env: gate.env,
    });
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("ledger_rolled_back"),
    });
  }
  rmSync(gate.ledger);
  const none = await runBinary(["serve", "--json", "--dir", gate.dir], { cwd: gate.root, env: gate.env });
  expect(none.stderr).toContain("ledger_rolled_back");
  for (const suffix of ["", "-wal", "-shm"]) rmSync(gate.ledger + suffix, { force: true });
  cpSync(newest, gate.ledger);
  const again = await gate.restart();
  expect(
    createHash("sha256")
      .update(readRows(again.ledger)[0]?.jws ?? "")
      .digest("hex"),
  ).toBe(
    createHash("sha256")
      .update(rows[0]?.jws ?? "")
      .digest("hex"),
  );
  expect(await again.stop()).toBe(0);
});

test("a mirror within the project folder is none", async () => {
  expect(
    startGate({ config: '[[evidence.mirrors]]\npath = "/proc/self/cwd/.latchgate/mirror"' }),
  ).rejects.toThrow("inside of the project folder");
});
