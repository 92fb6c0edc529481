import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { payloadOf, readRows } from "../ledger/forge.ts";
import { requireTool } from "../require-tool.ts";
import { madeCalls, strace } from "../strace.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";

const withStrace = requireTool("strace", "apt-get install strace");

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "latchgate-rotate-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const start = (config = "") =>
  startGate({ policy: openPolicy(), files: { "README.md": "# hello\n" }, config });
const read = (agent: WireAgent) => agent.execute("fs_read", { path: "README.md" });

async function isIntact(gate: GateProcess): Promise<Record<string, unknown>> {
  const { code, stdout } = await gate.run(
    "verify",
    gate.ledger,
    "--trust",
    gate.fingerprint,
    "--strict",
    "--json",
  );
  const report = JSON.parse(stdout) as Record<string, unknown>;
  expect({ code, report }).toMatchObject({
    code: 0,
    report: { verdict: "intact", fingerprint: gate.fingerprint },
  });
  return report;
}

const kidOf = (jws: string): string =>
  JSON.parse(Buffer.from(jws.split(".")[0] ?? "", "base64url").toString()).kid;

test("the evidence key of a running gate: the old key signs the rotation, the new one all that follows, also after a restart", async () => {
  const gate = await start();
  const agent = await WireAgent.connect(gate.clientSocket);
  expect((await read(agent)).status).toBe(200);
  const rotated = await gate.run("rotate-keys", "--json");
  expect(rotated.code).toBe(0);
  const { previous_kid, kid } = JSON.parse(rotated.stdout);
  expect(`SHA256:${previous_kid}`).toBe(gate.fingerprint);
  const done = (await read(agent)).body;
  expect((await agent.receipt(done.receipt_id)).body).toMatchObject({
    signing_key_id: kid,
    signature_status: "valid",
  });
  const restarted = await gate.stop().then(() => gate.restart());
  try {
    expect((await read(agent)).status).toBe(200);
    const rows = readRows(restarted.ledger);
    const at = rows.findIndex((row) => payloadOf(row).type === "key.rotated");
    expect(rows.map(({ jws }) => kidOf(jws))).toEqual(rows.map((_, seq) => (seq <= at ? previous_kid : kid)));
    expect((await isIntact(restarted)).signers).toEqual([previous_kid, kid]);
    for (const name of readdirSync(join(restarted.dir, "keys")))
      expect({ name, mode: statSync(join(restarted.dir, "keys", name)).mode & 0o777 }).toEqual({
        name,
        mode: 0o600,
      });
  } finally {
    await restarted[Symbol.asyncDispose]();
  }
});

test("the lease key: leases of the old key go on for the time of grace, new ones are of the new key", async () => {
  await using gate = await start();
  const agent = await WireAgent.connect(gate.clientSocket);
  expect((await gate.run("rotate-keys", "--purpose", "lease")).code).toBe(0);
  expect((await read(agent)).status).toBe(200);
  const fresh = await WireAgent.connect(gate.clientSocket);
  expect((await read(fresh)).status).toBe(200);
  const header = (token: string) => token.split(".")[0];
  const signer = (token: string) => token.split(".")[2];
  expect(signer(fresh.lease)).not.toBe(signer(agent.lease));
  expect(header(fresh.lease)).toBeDefined();
  await isIntact(gate);
});

test("without a time of grace, leases of the old key end with it, and stay so after a restart", async () => {
  const gate = await start("[lease]\nkey_grace_s = 0");
  const agent = await WireAgent.connect(gate.clientSocket);
  expect((await gate.run("rotate-keys", "--purpose", "lease")).code).toBe(0);
  expect((await read(agent)).status).toBe(401);
  expect((await read(await WireAgent.connect(gate.clientSocket))).status).toBe(200);
  const restarted = await gate.stop().then(() => gate.restart());
  expect((await read(agent)).status).toBe(401);
  await isIntact(restarted);
  await restarted[Symbol.asyncDispose]();
});

test("the checkpoint key: each checkpoint is signed by the key in force at its size", async () => {
  const gate = await start();
  await gate.stop();
  const again = await gate.restart();
  expect((await again.run("rotate-keys", "--purpose", "checkpoint")).code).toBe(0);
  await again.stop();
  expect((await isIntact(again)).checkpoints).toBe(2);
  await again[Symbol.asyncDispose]();
});

test("a stopped gate rotates in its files, and starts with the new keys", async () => {
  const gate = await start();
  await gate.stop();
  for (const purpose of ["evidence", "checkpoint", "lease"]) {
    const { code, stderr } = await gate.run("rotate-keys", "--purpose", purpose);
    expect({ code, stderr }).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("no gate is running"),
    });
  }
  const restarted = await gate.restart();
  expect((await read(await WireAgent.connect(restarted.clientSocket))).status).toBe(200);
  const types = readRows(restarted.ledger).map((row) => payloadOf(row).type);
  expect(types.filter((type) => type === "key.rotated")).toHaveLength(3);
  await isIntact(restarted);
  await restarted[Symbol.asyncDispose]();
});

test("only an operator may rotate, and only what rotates", async () => {
  await using gate = await start();
  const agent = await WireAgent.connect(gate.clientSocket);
  const body = JSON.stringify({ purpose: "evidence" });
  expect((await agent.call("POST", "/v1/admin/rotate-keys", body)).status).toBe(404);
  const stranger = new WireOperator(gate.adminSocket, agent.key);
  expect((await stranger.call("POST", "/v1/admin/rotate-keys", body)).status).toBe(401);
  const operator = await WireOperator.of(gate);
  for (const purpose of ["recovery", "", 1, null])
    expect((await operator.call("POST", "/v1/admin/rotate-keys", JSON.stringify({ purpose }))).status).toBe(
      400,
    );
  expect((await gate.run("rotate-keys", "--purpose", "recovery")).code).toBe(2);
  expect(readRows(gate.ledger).map((row) => payloadOf(row).type)).not.toContain("key.rotated");
});

test("a lost key file keeps the gate from starting, and says which", async () => {
  const gate = await start();
  await gate.stop();
  const kid = gate.fingerprint.replace("SHA256:", "");
  const path = join(gate.dir, "keys", `evidence-${kid}.pem`);
  const pem = readFileSync(path);
  rmSync(path);
  const { code, stderr } = await gate.run("serve", "--json");
  expect(code).toBe(1);
  expect(stderr).toContain(`evidence-${kid}.pem`);
  await Bun.write(path, pem, { mode: 0o644 });
  const open = await gate.run("serve", "--json");
  expect(open.code).toBe(1);
  expect(JSON.parse(open.stderr).error.message).toContain("can be read or written by others");
  await gate[Symbol.asyncDispose]();
});

const KILLS = [
  ...[0.2, 0.4, 0.6, 0.8, 1].map((share) => ({ purpose: "evidence", share })),
  ...["checkpoint", "lease"].flatMap((purpose) => [0.4, 0.8].map((share) => ({ purpose, share }))),
];
for (const { purpose, share } of KILLS)
  withStrace(
    `killed at a sync, at ${share} of a rotation of the ${purpose} key: the log says which is in force, and the gate goes on`,
    async () => {
      const log = join(scratch, `${purpose}-${share}.log`);
      const made = () => madeCalls(log, /^(\d+) +fsync\(/);
      const rotate = async (gate: GateProcess) =>
        (await WireOperator.of(gate)).call("POST", "/v1/admin/rotate-keys", JSON.stringify({ purpose }));
      const first = await start();
      await first.stop();
      const counted = await first.restart({ wrapper: strace(log, "fsync") });
      const ready = made();
      expect((await rotate(counted)).status).toBe(200);
      const nth = ready + Math.max(1, Math.ceil(share * (made() - ready)));
      await counted.stop();
      const inject = `fsync:signal=KILL:when=${nth}`;
      const gate = await counted.restart({ wrapper: strace(log, "fsync", { inject }) });
      expect(await rotate(gate).catch(() => null)).toBeNull();
      await gate.exited;
      const restarted = await gate.restart({ wrapper: [] });
      try {
        expect((await rotate(restarted)).status).toBe(200);
        expect((await read(await WireAgent.connect(restarted.clientSocket))).status).toBe(200);
        await isIntact(restarted);
      } finally {
        await restarted[Symbol.asyncDispose]();
      }
    },
    60_000,
  );
