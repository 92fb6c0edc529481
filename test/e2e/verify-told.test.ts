/** What `verify` says to people about what they asked for, and what it refuses rather than pass over. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeAuthority } from "../certificates.ts";
import { type GateProcess, startGate } from "../gate-process.ts";
import { WitnessIdentity } from "../ledger/witness-server.ts";
import { WireAgent } from "../wire-client.ts";

let gate: GateProcess;
let range: string;
beforeAll(async () => {
  gate = await startGate({ files: { "README.md": "# hello\n" } });
  const agent = await WireAgent.connect(gate.clientSocket);
  expect((await agent.execute("fs_read", { path: "README.md" })).status).toBe(200);
  expect((await gate.run("audit", "prune", "--yes")).code).toBe(0);
  await gate.stop();
  range = join(gate.root, "range.jsonl");
  expect((await gate.run("export", gate.ledger, "--out", range)).code).toBe(0);
});
afterAll(() => gate[Symbol.asyncDispose]());

const { vkey } = new WitnessIdentity("witness.example/w1");

test("a ledger that the named witness has not cosigned is not called anchored, and pruned bodies are counted", async () => {
  const { code, stdout } = await gate.run("verify", gate.ledger, "--witness", vkey);
  expect(code).toBe(0);
  expect(stdout).toContain("not anchored: these witnesses have cosigned none of its checkpoints");
  expect(stdout).toMatch(/^[1-9]\d* payloads were pruned by signed acts$/m);
});

test.each([
  ["--witness", () => vkey],
  ["--payloads", () => join(gate.dir, "payloads.db")],
  ["--tsa", authorityFile],
])("%s with an export is refused, not passed over", async (flag, value) => {
  expect((await gate.run("verify", range)).stderr).not.toContain("goes with a ledger");
  const { code, stderr } = await gate.run("verify", range, flag, value());
  expect(code).toBe(2);
  expect(stderr).toContain(`${flag} goes with a ledger; this file is none`);
});

function authorityFile(): string {
  const path = join(gate.dir, "authority.pem");
  writeFileSync(path, makeAuthority("Stamps").certificate);
  return path;
}
