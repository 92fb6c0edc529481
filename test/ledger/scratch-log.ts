/** A log in a scratch folder, written by the real writer with acts of the test's own. */
import type { Database } from "bun:sqlite";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Commitment, EntryType } from "../../src/ledger/entry/types.ts";
import { Keyring } from "../../src/ledger/keyring.ts";
import type { Mirrors } from "../../src/ledger/mirrors.ts";
import type { WantedRevocation } from "../../src/ledger/revoker.ts";
import { openLedgerDatabase, openPayloadDatabase } from "../../src/ledger/store/database.ts";
import { type LedgerTransaction, LedgerWriter, type Task } from "../../src/ledger/writer.ts";

export interface ScratchLog {
  readonly dir: string;
  readonly ledger: string;
  readonly payloads: string;
  readonly keys: string;
  readonly db: Database;
  readonly writer: LedgerWriter;
  /** Sets the clock, milliseconds from where it is. */
  advance(ms: number): void;
  /** Closes in good order and opens again. */
  reopen(): ScratchLog;
  /** Lets go of the files as a killed process would. */
  abandon(): void;
  remove(): void;
}

export interface Said {
  readonly type: EntryType;
  readonly body: Readonly<Record<string, unknown>>;
}

const ACTS = {
  stop: (tx: LedgerTransaction, reason: string) => tx.append("gate.stopped", { reason }),
  twice: (tx: LedgerTransaction, reason: string) => [
    tx.append("gate.stopped", { reason }),
    tx.append("gate.stopped", { reason }),
  ],
  long: (tx: LedgerTransaction) => {
    const time = "2026-01-01T00:00:00.000Z";
    const counts = Array.from({ length: 60 }, (_, i) => ({
      peer: "p".repeat(200),
      reason: `r${i}`,
      count: i,
    }));
    return tx.append("shed.summary", { since: time, until: time, counts });
  },
  fail: (tx: LedgerTransaction, reason: string) => {
    tx.append("gate.stopped", { reason });
    throw new Error("this act fails after it has appended");
  },
  state: (tx: LedgerTransaction, value: string) => {
    tx.db.query("INSERT OR REPLACE INTO meta (name, value) VALUES ('test', ?)").run(value);
  },
  rotate: (tx: LedgerTransaction, purpose: "evidence" | "checkpoint" | "lease") => tx.rotate(purpose),
  prepareRevocation: (tx: LedgerTransaction, wanted: WantedRevocation) => tx.prepareRevocation(wanted),
  revoke: (tx: LedgerTransaction, statement: string) => tx.revoke(statement),
  prune: (tx: LedgerTransaction, beforeMs: number) =>
    tx.prune({ beforeMs, keep: new Set(), cause: "operator", operator: null }),
  lease: (tx: LedgerTransaction, root: Commitment) =>
    tx.append("lease.issued", {
      trace_id: tx.newId(),
      tenant: "default",
      principal: "p",
      session_id: tx.newId(),
      lease_jti: tx.newId(),
      jkt: "A".repeat(43),
      scopes: [],
      identity_method: "peer",
      peer_uid: 1,
      expires: "2026-01-01T00:00:00.000Z",
      max_calls: null,
      epoch: 0,
      fs_root: root,
    }),
  /** Any entry at all, as the holder of the key may sign it. */
  say: (tx: LedgerTransaction, { type, body }: Said) => tx.append(type, body as never),
  read: (tx: LedgerTransaction) => tx.now,
} as const;

export const task = (
  act: keyof typeof ACTS,
  input: unknown = "test",
  payloads: Task["payloads"] = [],
): Task => ({
  act,
  input,
  payloads,
});

/** Milliseconds; every group of a scratch log has the next one. */
const START = 1_700_000_000_000;

export function scratchLog(
  dir = mkdtempSync(join(tmpdir(), "latchgate-log-")),
  options: { readonly checkpointOverlapMs?: number; readonly mirrors?: Mirrors } = {},
): ScratchLog {
  mkdirSync(dir, { recursive: true });
  const ledger = join(dir, "ledger.db");
  const payloads = join(dir, "payloads.db");
  const keys = join(dir, "keys");
  const db = openLedgerDatabase(ledger, []);
  const payloadDb = openPayloadDatabase(payloads);
  const last = db.query<{ ms: number | null }, []>("SELECT max(time_ms) AS ms FROM entries").get();
  let time = last?.ms == null ? START : last.ms + 1;
  const writer = new LedgerWriter({
    db,
    payloads: payloadDb,
    keyring: new Keyring(keys),
    acts: ACTS,
    now: () => time++,
    gateVersion: "test",
    ...options,
  });
  return {
    dir,
    ledger,
    payloads,
    keys,
    db,
    writer,
    advance: (ms) => {
      time += ms;
    },
    reopen: () => {
      writer.close();
      return scratchLog(dir, options);
    },
    abandon: () => {
      db.close();
      payloadDb.close();
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}
