import type { Database } from "bun:sqlite";
import { messageOf } from "../../core/errors.ts";
import type { EntryPayload } from "../entry/entry.ts";
import { LedgerError } from "../errors.ts";
import { type LogStart, LogVerifier, type StoredCheckpoint, type StoredEntry } from "./log-verifier.ts";
import { keysNamedIn } from "./named-keys.ts";
import { openLedgerFile } from "./open-file.ts";
import type { VerifyOptions } from "./options.ts";
import { PruningCheck } from "./pruning-check.ts";
import { repeatedGrants } from "./repeated-grants.ts";
import type { VerifyReport } from "./report.ts";
import { SignaturePool } from "./signature-pool.ts";
import { startSince } from "./since.ts";
import { treeTableFaults } from "./tree-tables.ts";
import type { Vouched } from "./vouch.ts";

/** Verifies a ledger file. Throws `ledger_unreadable` when it is none. */
export function verifyLedgerFile(path: string, options: VerifyOptions): VerifyReport {
  const file = openLedgerFile(path);
  try {
    return file.db.transaction(() => {
      const check = new FileCheck(file.db, options);
      for (const row of check.rows()) check.take(row, null);
      return check.finish();
    })();
  } catch (cause) {
    throw broken(path, cause);
  } finally {
    file.close();
  }
}

/** Below this many entries, threads cost more than they save. */
const WORTH_THREADS = 2000;

/**
 * As {@link verifyLedgerFile}, with what can be said of an entry by itself (form, signature) said by that many
 * threads; what depends on order stays in this one. With one thread, or for a small file, there is only this one.
 */
export async function verifyLedgerFileWith(
  threads: number,
  path: string,
  options: VerifyOptions,
): Promise<VerifyReport> {
  if (threads <= 1) return verifyLedgerFile(path, options);
  const file = openLedgerFile(path);
  let pool: SignaturePool | null = null;
  try {
    // One state of the log for the whole way, while a gate goes on writing. The connection is closed below.
    file.db.run("BEGIN");
    const check = new FileCheck(file.db, options);
    if (check.total >= WORTH_THREADS) pool = new SignaturePool(threads, keysNamedIn(file.db));
    await takeAll(check, pool);
    return check.finish();
  } catch (cause) {
    throw broken(path, cause);
  } finally {
    pool?.close();
    file.close();
  }
}

function broken(path: string, cause: unknown): LedgerError {
  if (cause instanceof LedgerError) return cause;
  return new LedgerError("ledger_unreadable", `${path} cannot be read to its end: ${messageOf(cause)}`, {
    cause,
  });
}

/** Rows of a batch, and characters after which it is full before that: both bound what is in memory. */
const BATCH_ROWS = 512;
const BATCH_LENGTH = 2_097_152;

async function takeAll(check: FileCheck, pool: SignaturePool | null): Promise<void> {
  const underWay: { readonly rows: readonly FileRow[]; readonly vouched: Promise<readonly Vouched[]> }[] = [];
  const settle = async () => {
    const oldest = underWay.shift();
    if (oldest === undefined) return;
    const vouched = await oldest.vouched;
    for (const [i, row] of oldest.rows.entries()) check.take(row, vouched[i] ?? null);
  };
  let rows: FileRow[] = [];
  let length = 0;
  const send = async () => {
    if (pool === null || rows.length === 0) return;
    const vouched = pool.vouch(rows.map((row) => text(row.jws)));
    // A failure is met where the batch is settled, if it is: the first one ends everything.
    vouched.catch(() => undefined);
    underWay.push({ rows, vouched });
    [rows, length] = [[], 0];
    if (underWay.length > pool.depth) await settle();
  };
  for (const row of check.rows()) {
    if (pool === null) check.take(row, null);
    else {
      rows.push(row);
      length += text(row.jws).length;
      if (rows.length >= BATCH_ROWS || length >= BATCH_LENGTH) await send();
    }
  }
  await send();
  while (underWay.length > 0) await settle();
}

type FileRow = Raw<StoredEntry & GrantColumns>;

const ROWS = `SELECT e.seq, e.id, e.type, e.time_ms, e.trace_id, e.tenant, e.principal, e.action_id, e.decision, e.jws,
    e.hash, coalesce(g.grant_id, r.grant_id) AS grant_id, g.approval_id AS grant_approval,
    g.session_id AS grant_session, g.principal AS grant_principal, r.receipt_id AS receipt_id
  FROM entries e LEFT JOIN grants g ON e.type = 'call.granted' AND g.seq = e.seq
    LEFT JOIN grants r ON e.type = 'call.receipt' AND r.receipt_seq = e.seq`;

/** The check of one file: its rows in order, each taken with what is already known of it, then the verdict. */
class FileCheck {
  private readonly db: Database;
  private readonly options: VerifyOptions;
  private readonly verifier: LogVerifier;
  private readonly pruning: PruningCheck;
  readonly total: number;
  private readonly begin: LogStart | null;
  /** Entries before this one are not checked; null when all are. */
  private readonly from: number | null;
  private done = 0;

  constructor(db: Database, options: VerifyOptions) {
    this.db = db;
    this.options = options;
    const { since = null, anchors = [] } = options;
    this.begin = since === null ? null : startSince(db, since, anchors);
    this.from = this.begin?.tree.size ?? null;
    const from = this.from;
    const checkpoints = db
      .query<Raw<StoredCheckpoint>, [number | null, number | null]>(
        "SELECT size, root, note FROM checkpoints WHERE ? IS NULL OR size > ? ORDER BY size",
      )
      .all(from, from);
    this.verifier = new LogVerifier(checkpoints.map(checkpointRow), anchors, this.begin, options.parties);
    this.pruning = new PruningCheck(db, options.payloads ?? null);
    const all = db.query<{ n: number }, []>("SELECT count(*) AS n FROM entries").get()?.n ?? 0;
    this.total = all - (from ?? 0);
  }

  rows(): Iterable<FileRow> {
    const from = this.from;
    if (from === null) return this.db.query<FileRow, []>(`${ROWS} ORDER BY e.seq`).iterate();
    return this.db.query<FileRow, [number]>(`${ROWS} WHERE e.seq >= ? ORDER BY e.seq`).iterate(from);
  }

  take(row: FileRow, vouched: Vouched | null): void {
    const payload = this.verifier.take(entryRow(row), vouched);
    const fault = payload === null ? null : grantFault(row, payload);
    if (payload !== null && fault !== null) this.verifier.sideTable(payload.seq, fault);
    if (payload !== null) this.pruning.take(payload);
    if (++this.done % 4096 === 0) this.options.progress?.(this.done, this.total);
  }

  finish(): VerifyReport {
    // Nodes follow from all leaves; with --since, not all are looked at.
    if (this.from === null)
      for (const detail of treeTableFaults(this.db)) this.verifier.sideTable(null, detail);
    for (const detail of strayGrants(this.db, this.from)) this.verifier.sideTable(null, detail);
    for (const { seq, detail } of repeatedGrants(this.db, this.from ?? 0))
      this.verifier.repeated(seq, detail);
    for (const { seq, detail } of this.pruning.faults()) this.verifier.sideTable(seq, detail);
    return this.verifier.finish(this.options.trust, this.options.strict);
  }
}

/** SQLite keeps a value of any class in any column, and an attacker wrote the file. */
export type Raw<T> = { readonly [C in keyof T]: unknown };

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const blob = (value: unknown): Uint8Array => (value instanceof Uint8Array ? value : new Uint8Array());
const position = (value: unknown): number => (typeof value === "number" ? value : -1);

/** A value of the wrong class becomes one that no valid entry has; the other columns are only ever compared. */
export function entryRow(raw: Raw<StoredEntry>): StoredEntry {
  const row = raw as StoredEntry;
  const traceId = typeof raw.trace_id === "string" || raw.trace_id === null ? raw.trace_id : "";
  return { ...row, seq: position(raw.seq), jws: text(raw.jws), hash: blob(raw.hash), trace_id: traceId };
}

function checkpointRow(raw: Raw<StoredCheckpoint>): StoredCheckpoint {
  return { size: position(raw.size), root: blob(raw.root), note: text(raw.note) };
}

/** What the table of grants has beside a grant entry, or beside a receipt entry. */
interface GrantColumns {
  readonly grant_id: string;
  readonly grant_approval: string | null;
  readonly grant_session: string;
  readonly grant_principal: string;
  readonly receipt_id: string;
}

/** The table of grants must say what the entries say: the gate finds receipts and used approvals by it. */
function grantFault(row: Raw<GrantColumns>, payload: EntryPayload): string | null {
  if (payload.type === "call.granted") {
    const same =
      row.grant_id === payload.grant_id &&
      row.grant_approval === payload.cause.approval_id &&
      row.grant_session === payload.session_id &&
      row.grant_principal === payload.principal;
    return same ? null : "the table of grants does not say what the grant entry says";
  }
  if (payload.type !== "call.receipt") return null;
  const same = row.grant_id === payload.grant_id && row.receipt_id === payload.receipt_id;
  return same ? null : "the table of grants does not say what the receipt entry says";
}

/** And it must say nothing more. */
function strayGrants(db: Database, from: number | null): string[] {
  const faults: string[] = [];
  const count = (sql: string): number => db.query<{ n: number }, []>(sql).get()?.n ?? 0;
  const checks = [
    [
      "a row in the table of grants has no grant entry",
      `SELECT count(*) AS n FROM grants g LEFT JOIN entries e ON e.seq = g.seq AND e.type = 'call.granted'
       WHERE e.seq IS NULL ${from === null ? "" : `AND g.seq >= ${from}`}`,
    ],
    [
      "a row in the table of grants names a receipt that is not in the log",
      `SELECT count(*) AS n FROM grants g LEFT JOIN entries e ON e.seq = g.receipt_seq AND e.type = 'call.receipt'
       WHERE (g.receipt_id IS NOT NULL OR g.receipt_seq IS NOT NULL) AND e.seq IS NULL
       ${from === null ? "" : `AND g.receipt_seq >= ${from}`}`,
    ],
  ] as const;
  for (const [detail, sql] of checks) for (let i = count(sql); i > 0; i--) faults.push(detail);
  return faults;
}
