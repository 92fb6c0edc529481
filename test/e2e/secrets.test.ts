import { afterAll, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type GateProcess, startGate } from "../gate-process.ts";
import { fixture, madeFile, RECIPIENT, SHARED } from "../secrets/secrets-files.ts";

const gates: GateProcess[] = [];
afterAll(async () => {
  for (const gate of gates) await gate[Symbol.asyncDispose]();
});

/** A gate whose project has a secrets file of its own making. */
async function gateWithSecrets(): Promise<GateProcess> {
  const gate = await startGate();
  gates.push(gate);
  expect(await gate.run("secrets", "init")).toMatchObject({ code: 0 });
  expect(await gate.stop()).toBe(0);
  return gate;
}

async function told(gate: GateProcess, text: string): Promise<void> {
  while (!gate.stderr().includes(text)) await new Promise((resolve) => setTimeout(resolve, 10));
}

test("a gate says at its start that its identity does not open the secrets", async () => {
  const made = await gateWithSecrets();
  writeFileSync(
    join(made.dir, "secrets.enc.yaml"),
    await madeFile("secrets.enc.yaml", [{ owner: SHARED, name: "X", value: "x" }]),
  );
  const gate = await made.restart();
  gates.push(gate);
  await told(gate, "no identity here opens the secrets file (secrets_unavailable)");
  expect(gate.stderr()).not.toContain("AGE-SECRET-KEY");
  expect(gate.stderr()).not.toContain(RECIPIENT);
});

test("and that they were tampered with", async () => {
  const made = await gateWithSecrets();
  const file = join(made.dir, "secrets.enc.yaml");
  const own = fixture("mixed.enc.yaml");
  writeFileSync(file, own.replace("INT: ENC", "INTO: ENC"));
  writeFileSync(join(made.dir, "secrets-identity.txt"), fixture("identity.txt"));
  const gate = await made.restart();
  gates.push(gate);
  await told(gate, "(secrets_damaged)");
});

test("a gate without a secrets file starts and makes none", async () => {
  const gate = await startGate();
  gates.push(gate);
  expect(existsSync(join(gate.dir, "secrets.enc.yaml"))).toBe(false);
  expect(await gate.stop()).toBe(0);
  expect(gate.stderr()).not.toContain("secrets");
});
