/** A small ledger that the shipped binary wrote, holding an entry of almost every kind, for tests that damage copies of it. */
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { thumbprint } from "../../src/keys/jwk.ts";
import type { StoredCheckpoint, StoredEntry } from "../../src/ledger/verify/log-verifier.ts";
import { BINARY, type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { startUpstream } from "../upstream.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";
import { payloadOf, readCheckpoints, readRows } from "./forge.ts";

export interface LivedLedger {
  /** The gate that wrote it; stopped in good order. */
  readonly gate: GateProcess;
  readonly fingerprint: string;
  readonly rows: readonly StoredEntry[];
  readonly checkpoints: readonly StoredCheckpoint[];
  /** A fresh copy of the project folder. */
  copy(): LedgerCopy;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface LedgerCopy {
  readonly dir: string;
  readonly ledger: string;
  readonly keys: string;
  remove(): void;
}

/** Lives through leases, calls over both brokers, refusals, approvals, rotations of every key, and a revocation. */
export function liveALittle(): Promise<LivedLedger> {
  return lead(live);
}

/**
 * Loses its evidence key to a thief, who uses it: grants, an approval, a successor and a new epoch of its making. Then the
 * recovery key revokes it, the checkpoint key and the lease key, and life goes on.
 */
export function liveThroughTheft(): Promise<LivedLedger> {
  return lead(loseKey);
}

/** Lives one life in a gate that is stopped after it; a life that restarts the gate gives the last one. */
async function lead(
  life: (gate: GateProcess, url: string, steal: () => void) => Promise<GateProcess | undefined>,
): Promise<LivedLedger> {
  const upstream = await startUpstream();
  const first = await startGate({
    policy: openPolicy(),
    config: upstream.setup.config,
    files: { "README.md": "# hello\n", "src/a.txt": "old", ...upstream.setup.files },
  });
  // Somebody who copied the keys before a rotation still has them; the gate itself destroys what it retired.
  const stolen = mkdtempSync(join(tmpdir(), "latchgate-stolen-"));
  const steal = () => cpSync(join(first.dir, "keys"), stolen, { recursive: true });
  steal();
  let gate = first;
  try {
    gate = (await life(first, upstream.url, steal)) ?? first;
  } finally {
    await upstream[Symbol.asyncDispose]();
  }
  await gate.stop();
  cpSync(stolen, join(gate.dir, "keys"), { recursive: true, force: false });
  rmSync(stolen, { recursive: true, force: true });
  const copies: LedgerCopy[] = [];
  const ledger = join(gate.dir, "ledger.db");
  return {
    rows: readRows(ledger),
    checkpoints: readCheckpoints(ledger),
    gate,
    fingerprint: gate.fingerprint,
    copy: () => {
      const root = mkdtempSync(join(tmpdir(), "latchgate-copy-"));
      const dir = join(root, ".latchgate");
      cpSync(gate.dir, dir, { recursive: true, filter: (path) => !path.endsWith(".sock") });
      const copy = {
        dir,
        ledger: join(dir, "ledger.db"),
        keys: join(dir, "keys"),
        remove: () => rmSync(root, { recursive: true, force: true }),
      };
      copies.push(copy);
      return copy;
    },
    [Symbol.asyncDispose]: async () => {
      for (const copy of copies) copy.remove();
      await gate[Symbol.asyncDispose]();
    },
  };
}

async function live(gate: GateProcess, url: string): Promise<undefined> {
  const operator = await WireOperator.of(gate);
  const agent = await WireAgent.connect(gate.clientSocket, { maxCalls: 50 });
  const status = async (answer: Promise<{ status: number; text: string }>, wanted: number) => {
    const { status, text } = await answer;
    if (status !== wanted) throw new Error(`${status} where ${wanted} was expected: ${text}`);
  };
  await status(agent.execute("fs_read", { path: "README.md" }), 200);
  await status(agent.execute("http_fetch", { url: `${url}a?b=1` }), 200);
  await status(agent.execute("fs_read", { path: ".env" }), 403);
  await status(agent.execute("fs_read", { path: "src/absent.txt" }), 502);
  const held = async (content: string) => {
    const answer = await agent.execute("fs_write", { path: "src/a.txt", content });
    if (answer.status !== 202) throw new Error(answer.text);
    return answer.body.approval_id as string;
  };
  await status(operator.decideSigned(await held("new"), "approve"), 200);
  await status(operator.decideSigned(await held("newer"), "approve"), 200);
  await status(operator.decideSigned(await held("not"), "deny"), 200);
  await status(operator.deny(await held("never"), "not today"), 200);
  for (const purpose of ["evidence", "checkpoint", "lease"])
    await status(operator.call("POST", "/v1/admin/rotate-keys", JSON.stringify({ purpose })), 200);
  await status(agent.execute("fs_read", { path: "README.md" }), 200);
  await held("revoked");
  await status(operator.call("POST", "/v1/admin/revoke-all"), 200);
}

async function loseKey(first: GateProcess, url: string, steal: () => void): Promise<GateProcess> {
  const call = async (gate: GateProcess) => {
    const agent = await WireAgent.connect(gate.clientSocket);
    await agent.execute("http_fetch", { url });
    return agent;
  };
  const rotate = (gate: GateProcess, purpose: string) =>
    WireOperator.of(gate).then((operator) =>
      operator.call("POST", "/v1/admin/rotate-keys", JSON.stringify({ purpose })),
    );
  await call(first);
  await first.stop();
  const checkpoint = join(first.root, "checkpoint.txt");
  writeFileSync(checkpoint, readCheckpoints(first.ledger).at(-1)?.note ?? "");
  const gate = await first.restart();
  const operator = await WireOperator.of(gate);
  const agent = await call(gate);
  const hold = async () =>
    (await agent.execute("fs_write", { path: "src/a.txt", content: "new" })).body.approval_id as string;
  await operator.decideSigned(await hold(), "approve");
  const open = await hold();
  await rotate(gate, "evidence");
  steal();
  await call(gate);
  const keys = readRows(gate.ledger)
    .map(payloadOf)
    .find(({ type }) => type === "log.opened")?.keys as Record<string, Record<string, string>>;
  const recovery = readdirSync(join(gate.dir, "keys")).find((name) => name.startsWith("recovery-")) ?? "";
  const revoke = async (purpose: string) => {
    const words = ["--key", `SHA256:${thumbprint(keys[purpose] as never)}`, "--checkpoint", checkpoint];
    const from = join(gate.dir, "keys", recovery);
    const done = await gate.run("revoke", ...words, "--recovery-key", from, "--yes", "--json");
    if (done.code !== 0) throw new Error(done.stderr);
  };
  await revoke("evidence");
  await operator.deny(open, "who knows who asked");
  await call(gate);
  await operator.call("POST", "/v1/admin/revoke-all");
  for (const purpose of ["checkpoint", "lease"]) await revoke(purpose);
  await call(gate);
  return gate;
}

/** Starts the shipped binary on a copy that it must refuse; it is killed should it run. */
export function startOn(copy: LedgerCopy): { readonly code: number | null; readonly stderr: string } {
  const { exitCode, stderr } = Bun.spawnSync([BINARY, "serve", "--json", "--dir", copy.dir], {
    cwd: dirname(copy.dir),
    env: { PATH: process.env.PATH ?? "", HOME: dirname(copy.dir) },
    stdin: "ignore",
    timeout: 20_000,
  });
  return { code: exitCode, stderr: stderr.toString() };
}
