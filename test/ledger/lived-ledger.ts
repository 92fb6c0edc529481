/** A small ledger that the shipped binary wrote, holding an entry of almost every kind, for tests that damage copies of it. */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { StoredCheckpoint, StoredEntry } from "../../src/ledger/verify/log-verifier.ts";
import { BINARY, type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { startUpstream } from "../upstream.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";
import { readCheckpoints, readRows } from "./forge.ts";

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
export async function liveALittle(): Promise<LivedLedger> {
  const upstream = await startUpstream();
  const gate = await startGate({
    policy: openPolicy(),
    config: upstream.setup.config,
    files: { "README.md": "# hello\n", "src/a.txt": "old", ...upstream.setup.files },
  });
  // Somebody who copied the keys before a rotation still has them; the gate itself destroys what it retired.
  const stolen = mkdtempSync(join(tmpdir(), "latchgate-stolen-"));
  cpSync(join(gate.dir, "keys"), stolen, { recursive: true });
  try {
    await live(gate, upstream.url);
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

async function live(gate: GateProcess, url: string): Promise<void> {
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
