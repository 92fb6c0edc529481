import { constants, Database } from "bun:sqlite";
import {
  accessSync,
  copyFileSync,
  existsSync,
  constants as fsConstants,
  mkdtempSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { messageOf } from "../../core/errors.ts";
import type { EntryPayload } from "../entry/entry.ts";
import { LedgerError } from "../errors.ts";
import { LogVerifier, type StoredCheckpoint, type StoredEntry, type Trust } from "./log-verifier.ts";
import { PruningCheck, type StoredPayloads } from "./pruning-check.ts";
import type { VerifyReport } from "./report.ts";

export interface VerifyOptions {
  readonly trust: Trust;
  readonly strict: boolean;
  /** The stored payloads, to see that each one is there or was pruned by a signed act. */
  readonly payloads?: StoredPayloads;
  /** Called now and then with entries done and to do. */
  readonly progress?: (done: number, total: number) => void;
}

export interface OpenFile {
  readonly db: Database;
  close(): void;
}

function opened(db: Database): OpenFile {
  try {
    db.query("SELECT 1 FROM entries LIMIT 1").all();
  } catch (cause) {
    db.close();
    throw cause;
  }
  return { db, close: () => db.close() };
}

/**
 * Opens a ledger file for reading: beside a gate that writes, on a copy, or on media that can't be written. There the
 * index of a write-ahead log can't be made: without such a log the file is read as it is, with one both are copied.
 */
export function openReadOnly(path: string): OpenFile {
  if (!existsSync(path)) throw new LedgerError("ledger_unreadable", `there is no file ${path}`);
  try {
    accessSync(dirname(path), fsConstants.W_OK);
  } catch {
    return openSealed(path);
  }
  return opened(new Database(path, { readonly: true }));
}

function openSealed(path: string): OpenFile {
  const log = `${path}-wal`;
  if (!existsSync(log) || statSync(log).size === 0) {
    const uri = `file:${path.split("/").map(encodeURIComponent).join("/")}?immutable=1`;
    return opened(new Database(uri, constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI));
  }
  const folder = mkdtempSync(join(tmpdir(), "latchgate-verify-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const copy = join(folder, "ledger.db");
    copyFileSync(path, copy);
    copyFileSync(log, `${copy}-wal`);
    const file = opened(new Database(copy, { readonly: true }));
    return {
      db: file.db,
      close: () => {
        file.close();
        remove();
      },
    };
  } catch (cause) {
    remove();
    throw cause;
  }
}

/** Verifies a ledger file. Throws `ledger_unreadable` when it is none. */
export function verifyLedgerFile(path: string, options: VerifyOptions): VerifyReport {
  let file: OpenFile;
  try {
    file = openReadOnly(path);
  } catch (cause) {
    if (cause instanceof LedgerError) throw cause;
    throw new LedgerError("ledger_unreadable", `${path} is not a ledger: ${messageOf(cause)}`, { cause });
  }
  try {
    return file.db.transaction(() => verifyDatabase(file.db, options))();
  } catch (cause) {
    throw new LedgerError("ledger_unreadable", `${path} cannot be read to its end: ${messageOf(cause)}`, {
      cause,
    });
  } finally {
    file.close();
  }
}

function verifyDatabase(db: Database, options: VerifyOptions): VerifyReport {
  const checkpoints = db
    .query<Raw<StoredCheckpoint>, []>("SELECT size, root, note FROM checkpoints ORDER BY size")
    .all();
  const verifier = new LogVerifier(checkpoints.map(checkpointRow));
  const total = db.query<{ n: number }, []>("SELECT count(*) AS n FROM entries").get()?.n ?? 0;
  const rows = db.query<Raw<StoredEntry & GrantColumns>, []>(
    `SELECT e.seq, e.id, e.type, e.time_ms, e.trace_id, e.tenant, e.principal, e.action_id, e.decision, e.jws, e.hash,
       coalesce(g.grant_id, r.grant_id) AS grant_id, g.approval_id AS grant_approval, g.session_id AS grant_session,
       g.principal AS grant_principal, r.receipt_id AS receipt_id
     FROM entries e LEFT JOIN grants g ON e.type = 'call.granted' AND g.seq = e.seq
       LEFT JOIN grants r ON e.type = 'call.receipt' AND r.receipt_seq = e.seq
     ORDER BY e.seq`,
  );
  const pruning = new PruningCheck(db, options.payloads ?? null);
  let done = 0;
  for (const row of rows.iterate()) {
    const payload = verifier.take(entryRow(row));
    const fault = payload === null ? null : grantFault(row, payload);
    if (payload !== null && fault !== null) verifier.sideTable(payload.seq, fault);
    if (payload !== null) pruning.take(payload);
    if (++done % 4096 === 0) options.progress?.(done, total);
  }
  for (const detail of strayGrants(db)) verifier.sideTable(null, detail);
  for (const { seq, detail } of pruning.faults()) verifier.sideTable(seq, detail);
  return verifier.finish(options.trust, options.strict);
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
function strayGrants(db: Database): string[] {
  const faults: string[] = [];
  const count = (sql: string): number => db.query<{ n: number }, []>(sql).get()?.n ?? 0;
  const checks = [
    [
      "a row in the table of grants has no grant entry",
      `SELECT count(*) AS n FROM grants g LEFT JOIN entries e ON e.seq = g.seq AND e.type = 'call.granted'
       WHERE e.seq IS NULL`,
    ],
    [
      "a row in the table of grants names a receipt that is not in the log",
      `SELECT count(*) AS n FROM grants g LEFT JOIN entries e ON e.seq = g.receipt_seq AND e.type = 'call.receipt'
       WHERE (g.receipt_id IS NOT NULL OR g.receipt_seq IS NOT NULL) AND e.seq IS NULL`,
    ],
  ] as const;
  for (const [detail, sql] of checks) for (let i = count(sql); i > 0; i--) faults.push(detail);
  return faults;
}
