import { expect, test } from "bun:test";
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { payloadOf, readCheckpoints, readRows } from "../ledger/forge.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";

const start = (config = "") =>
  startGate({ policy: openPolicy(), files: { "README.md": "# hello\n", "src/a.txt": "old" }, config });
const read = (agent: WireAgent) => agent.execute("fs_read", { path: "README.md" });
const keySet = (gate: GateProcess) =>
  JSON.parse(readFileSync(join(gate.dir, "keys/verifying-keys.json"), "utf8"));

async function verify(gate: GateProcess, ...more: string[]) {
  const { code, stdout } = await gate.run(
    "verify",
    gate.ledger,
    "--trust",
    gate.fingerprint,
    "--json",
    ...more,
  );
  return { code, report: JSON.parse(stdout) };
}

/** A gate that stopped once, so that a checkpoint is stored, and went on; its recovery key is moved away. */
async function lived(): Promise<{ gate: GateProcess; checkpoint: string; recovery: string; kid: string }> {
  const first = await start();
  expect((await read(await WireAgent.connect(first.clientSocket))).status).toBe(200);
  await first.stop();
  const stored = readCheckpoints(first.ledger).at(-1);
  const checkpoint = join(first.root, "checkpoint.txt");
  writeFileSync(checkpoint, stored?.note ?? "");
  const name = readdirSync(join(first.dir, "keys")).find((file) => file.startsWith("recovery-")) ?? "";
  const recovery = join(first.root, name);
  renameSync(join(first.dir, "keys", name), recovery);
  return { gate: await first.restart(), checkpoint, recovery, kid: first.fingerprint };
}

const words = ({ checkpoint, recovery, kid }: Awaited<ReturnType<typeof lived>>) =>
  [
    "revoke",
    "--key",
    kid,
    "--checkpoint",
    checkpoint,
    "--recovery-key",
    recovery,
    "--yes",
    "--json",
  ] as const;

test("a stolen evidence key: revoked in the running gate, which goes on under a key that the recovery key vouches for", async () => {
  const setup = await lived();
  const { gate } = setup;
  const receipt = (await read(await WireAgent.connect(gate.clientSocket))).body.receipt_id;
  const done = await gate.run(...words(setup));
  expect({ code: done.code, stderr: done.stderr }).toEqual({ code: 0, stderr: "" });
  const { successor } = JSON.parse(done.stdout);
  const agent = await WireAgent.connect(gate.clientSocket);
  const after = (await read(agent)).body.receipt_id;
  expect((await agent.receipt(receipt)).body.signature_status).toBe("repudiated");
  expect((await agent.receipt(after)).body).toMatchObject({
    signature_status: "valid",
    signing_key_id: successor,
  });
  expect(existsSync(join(gate.dir, "keys", `evidence-${setup.kid.slice(7)}.pem`))).toBe(false);
  const seen = await verify(gate);
  expect(seen).toMatchObject({ code: 0, report: { verdict: "intact", trusted: true } });
  expect(seen.report.repudiated).toBeGreaterThan(3);
  expect(seen.report.summary).toContain("repudiated");
  expect((await verify(gate, "--strict")).code).toBe(15);
  // Twice is refused, in so many words.
  const again = await gate.run(...words(setup));
  expect({ code: again.code, error: JSON.parse(again.stderr).error }).toMatchObject({
    code: 1,
    error: { code: "revocation_refused" },
  });
  const restarted = await gate.stop().then(() => gate.restart());
  expect((await read(await WireAgent.connect(restarted.clientSocket))).status).toBe(200);
  expect((await verify(restarted)).code).toBe(0);
  await restarted[Symbol.asyncDispose]();
}, 60_000);

test("the same in the files of a stopped gate", async () => {
  const setup = await lived();
  await setup.gate.stop();
  const done = await setup.gate.run(...words(setup));
  expect(done.code).toBe(0);
  expect(done.stderr).toContain("no gate is running");
  const restarted = await setup.gate.restart();
  expect((await read(await WireAgent.connect(restarted.clientSocket))).status).toBe(200);
  expect((await verify(restarted, "--strict")).code).toBe(15);
  await restarted[Symbol.asyncDispose]();
}, 60_000);

test("a lease key that is revoked has no grace: its leases end at once, those of the new key are good", async () => {
  const setup = await lived();
  const { gate } = setup;
  const agent = await WireAgent.connect(gate.clientSocket);
  expect((await read(agent)).status).toBe(200);
  const lease = keySet(gate).keys.find(
    (key: Record<string, unknown>) => key["latchgate:purpose"] === "lease",
  ).kid;
  expect((await gate.run(...words({ ...setup, kid: lease }))).code).toBe(0);
  expect((await read(agent)).status).toBe(401);
  expect((await read(await WireAgent.connect(gate.clientSocket))).status).toBe(200);
  expect((await verify(gate, "--strict")).code).toBe(0);
  await gate[Symbol.asyncDispose]();
}, 60_000);

test("neither an agent nor an operator without the recovery key revokes a key", async () => {
  const setup = await lived();
  const { gate, kid } = setup;
  const agent = await WireAgent.connect(gate.clientSocket);
  expect((await agent.call("POST", "/v1/admin/revoke-key", "{}")).status).toBe(404);
  const operator = await WireOperator.of(gate);
  const own = join(gate.dir, "keys", `evidence-${kid.slice(7)}.pem`);
  expect(JSON.parse((await gate.run(...words({ ...setup, recovery: own }))).stderr).error.code).toBe(
    "revocation_refused",
  );
  for (const body of ["", "[]", "{}", '{"statement":1}', '{"statement":"a.b.c"}'])
    expect([400, 409]).toContain((await operator.call("POST", "/v1/admin/revoke-key", body)).status);
  for (const body of ["{}", '{"kid":"a","size":"1","root":""}', '{"kid":"a","size":1,"root":"00"}'])
    expect([400, 409]).toContain((await operator.call("POST", "/v1/admin/revoke-key/prepare", body)).status);
  expect(readRows(gate.ledger).map((row) => payloadOf(row).type)).not.toContain("key.revoked");
  expect((await read(agent)).status).toBe(200);
  await gate[Symbol.asyncDispose]();
}, 60_000);

test("the exported key set: whole, private, current, and never an input", async () => {
  const gate = await start("[lease]\nkey_grace_s = 0");
  const path = join(gate.dir, "keys/verifying-keys.json");
  const purposes = (set: { keys: Record<string, unknown>[] }) =>
    set.keys.map((key) => key["latchgate:purpose"]).sort();
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(purposes(keySet(gate))).toEqual(["checkpoint", "evidence", "lease", "recovery"]);
  for (const purpose of ["evidence", "lease"])
    expect((await gate.run("rotate-keys", "--purpose", purpose)).code).toBe(0);
  // Without grace the old lease key is good for nothing any more; the old evidence key still verifies its entries.
  expect(purposes(keySet(gate))).toEqual(["checkpoint", "evidence", "evidence", "lease", "recovery"]);
  const agent = await WireAgent.connect(gate.clientSocket);
  expect((await agent.call("GET", "/v1/verifying-keys", "")).body).toEqual(keySet(gate));
  expect((await verify(gate)).code).toBe(0);
  const { code } = await gate.run("verify", gate.ledger, "--trust", path);
  expect(code).toBe(0);
  await gate.stop();
  // Planted before a start: replaced, not read, and a link in its place is not followed.
  const target = join(gate.root, "README.md");
  renameSync(path, join(gate.root, "old.json"));
  symlinkSync(target, path);
  const restarted = await gate.restart();
  expect(keySet(restarted)).toEqual(JSON.parse(readFileSync(join(gate.root, "old.json"), "utf8")));
  expect(readFileSync(target, "utf8")).toBe("# hello\n");
  expect((await read(await WireAgent.connect(restarted.clientSocket))).status).toBe(200);
  await restarted[Symbol.asyncDispose]();
}, 60_000);

test("a repudiated receipt answers nothing: replay and poll are refused, and nothing runs a second time", async () => {
  const setup = await lived();
  const first = setup.gate;
  const agent = await WireAgent.connect(first.clientSocket);
  const key = { "idempotency-key": "once" };
  const again = { "idempotency-key": "twice" };
  const write = (content: string, under: Record<string, string>) =>
    agent.execute("fs_write", { path: "src/a.txt", content }, under);
  expect((await agent.execute("fs_read", { path: "README.md" }, key)).status).toBe(200);
  const ran = (await write("ran", again)).body.approval_id as string;
  const waits = (await write("waits", { "idempotency-key": "waits" })).body.approval_id as string;
  const operator = await WireOperator.of(first);
  expect((await operator.approve(ran)).status).toBe(200);
  await first.stop();
  expect((await first.run(...words(setup))).code).toBe(0);
  await using gate = await first.restart();
  const refused = (status: number, error: string) => ({ status, body: { error } });
  const receiptGone = refused(409, "receipt_repudiated");
  // The lease key stands: only evidence was revoked.
  expect(await agent.execute("fs_read", { path: "README.md" }, key)).toMatchObject(receiptGone);
  expect(await write("ran", again)).toMatchObject(receiptGone);
  expect(await agent.poll(ran)).toMatchObject(receiptGone);
  const after = await WireOperator.of(gate);
  expect(await after.approve(waits)).toMatchObject(refused(409, "call_repudiated"));
  expect(await after.call("GET", `/v1/approvals/${waits}`)).toMatchObject(refused(409, "entry_repudiated"));
  expect(readFileSync(join(gate.root, "src/a.txt"), "utf8")).toBe("ran");
  expect((await read(agent)).status).toBe(200);
  expect((await verify(gate)).code).toBe(0);
  expect((await verify(gate, "--strict")).code).toBe(15);
}, 60_000);
