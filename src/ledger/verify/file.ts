import { constants, Database } from "bun:sqlite";
import { accessSync, existsSync, constants as fsConstants } from "node:fs";
import { dirname } from "node:path";
import { messageOf } from "../../core/errors.ts";
import { LedgerError } from "../errors.ts";
import { LogVerifier, type StoredCheckpoint, type StoredEntry, type Trust } from "./log-verifier.ts";
import type { VerifyReport } from "./report.ts";

export interface VerifyOptions {
  readonly trust: Trust;
  readonly strict: boolean;
  /** Called now and then with entries done and to do. */
  readonly progress?: (done: number, total: number) => void;
}

/**
 * Opens a ledger file for reading: beside a gate that writes, on a copy, or on media that can't be written, where
 * the write-ahead log's index can't be made and the file is read as it is.
 */
function openReadOnly(path: string): Database {
  if (!existsSync(path)) throw new LedgerError("ledger_unreadable", `there is no file ${path}`);
  try {
    accessSync(dirname(path), fsConstants.W_OK);
  } catch {
    if (!existsSync(`${path}-wal`))
      return new Database(`file:${encodeURI(path)}?immutable=1`, constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI);
  }
  return new Database(path, { readonly: true });
}

/** Verifies a ledger file. Throws `ledger_unreadable` when it is none. */
export function verifyLedgerFile(path: string, options: VerifyOptions): VerifyReport {
  let db: Database;
  try {
    db = openReadOnly(path);
    db.query("SELECT 1 FROM entries LIMIT 1").all();
  } catch (cause) {
    if (cause instanceof LedgerError) throw cause;
    throw new LedgerError("ledger_unreadable", `${path} is not a ledger: ${messageOf(cause)}`, { cause });
  }
  try {
    return db.transaction(() => verifyDatabase(db, options))();
  } catch (cause) {
    throw new LedgerError("ledger_unreadable", `${path} cannot be read to its end: ${messageOf(cause)}`, { cause });
  } finally {
    db.close();
  }
}

function verifyDatabase(db: Database, options: VerifyOptions): VerifyReport {
  const checkpoints = db.query<StoredCheckpoint, []>("SELECT size, root, note FROM checkpoints ORDER BY size").all();
  const verifier = new LogVerifier(checkpoints);
  const total = db.query<{ n: number }, []>("SELECT count(*) AS n FROM entries").get()?.n ?? 0;
  const rows = db.query<StoredEntry, []>(
    `SELECT seq, id, type, time_ms, trace_id, tenant, principal, action_id, decision, jws, hash
     FROM entries ORDER BY seq`,
  );
  let done = 0;
  for (const row of rows.iterate()) {
    verifier.take(row);
    if (++done % 4096 === 0) options.progress?.(done, total);
  }
  for (const detail of sideTableFaults(db)) verifier.sideTable(detail);
  return verifier.finish(options.trust, options.strict);
}

/** The table of grants must say what the entries say, both ways. Its columns are compared by SQL over the entries. */
function sideTableFaults(db: Database): string[] {
  const faults: string[] = [];
  const count = (sql: string): number => db.query<{ n: number }, []>(sql).get()?.n ?? 0;
  const checks = [
    [
      "a grant entry has no row in the table of grants",
      `SELECT count(*) AS n FROM entries e LEFT JOIN grants g ON g.seq = e.seq
       WHERE e.type = 'call.granted' AND g.seq IS NULL`,
    ],
    [
      "a row in the table of grants has no grant entry",
      `SELECT count(*) AS n FROM grants g LEFT JOIN entries e ON e.seq = g.seq AND e.type = 'call.granted'
       WHERE e.seq IS NULL`,
    ],
    [
      "a receipt entry has no row in the table of grants",
      `SELECT count(*) AS n FROM entries e LEFT JOIN grants g ON g.receipt_seq = e.seq
       WHERE e.type = 'call.receipt' AND g.seq IS NULL`,
    ],
    [
      "a row in the table of grants names a receipt that is not in the log",
      `SELECT count(*) AS n FROM grants g LEFT JOIN entries e ON e.seq = g.receipt_seq AND e.type = 'call.receipt'
       WHERE g.receipt_id IS NOT NULL AND e.seq IS NULL`,
    ],
  ] as const;
  for (const [detail, sql] of checks) for (let i = count(sql); i > 0; i--) faults.push(detail);
  return faults;
}
