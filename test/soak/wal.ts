/** Cuts of a write-ahead log: every state that a crash between two writes may leave (https://sqlite.org/fileformat2.html#walformat). */
import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { APPROVAL_TABLES } from "../../src/approvals/state.ts";
import { BUDGET_TABLES } from "../../src/budgets/state.ts";
import { loadLog } from "../../src/ledger/load.ts";
import { openLedgerDatabase } from "../../src/ledger/store/database.ts";
import { verifyLedger } from "../independent/verify.ts";
import { readRows } from "../ledger/forge.ts";

const WAL_HEADER = 32;
const FRAME_HEADER = 24;

/** The bytes of a frame of this write-ahead log, header included; 0 when there is none. */
function frameSize(wal: string): number {
  if (!existsSync(wal)) return 0;
  const header = Buffer.alloc(WAL_HEADER);
  const fd = openSync(wal, "r");
  const read = readSync(fd, header);
  closeSync(fd);
  return read < WAL_HEADER ? 0 : FRAME_HEADER + header.readUInt32BE(8);
}

/** How many whole frames the log beside this ledger has, those of a log started over included. */
export function frames(ledger: string): number {
  const size = frameSize(`${ledger}-wal`);
  return size === 0 ? 0 : Math.floor((readFileSync(`${ledger}-wal`).length - WAL_HEADER) / size);
}

export interface CutResult {
  /** Every entry that it has. */
  readonly jws: readonly string[];
  /** What is not as it must be; empty when all is well. */
  readonly faults: readonly string[];
}

/**
 * Opens a copy of a killed gate's ledger with its write-ahead log cut after `frame` frames and `more` bytes, as the
 * next gate would, and says whether it is a whole prefix of `jws`, the entries that the uncut one has (null for that one itself).
 */
export function openCut(
  ledger: string,
  copy: string,
  {
    frame,
    more,
    jws,
  }: { readonly frame: number; readonly more: number; readonly jws: readonly string[] | null },
): CutResult {
  for (const suffix of ["", "-wal", "-shm"]) rmSync(copy + suffix, { force: true });
  copyFileSync(ledger, copy);
  const wal = `${ledger}-wal`;
  const length = WAL_HEADER + frame * frameSize(wal) + more;
  if (existsSync(wal)) writeFileSync(`${copy}-wal`, readFileSync(wal).subarray(0, length));
  const faults: string[] = [];
  const db = openLedgerDatabase(copy, [BUDGET_TABLES, APPROVAL_TABLES]);
  try {
    loadLog(db);
    const open = db.query("SELECT grant_id FROM grants WHERE receipt_id IS NULL").all().length;
    for (const scope of ["session", "principal_day"]) {
      const sum = db
        .query<{ n: number | null }, [string]>("SELECT sum(reserved) AS n FROM budgets WHERE scope = ?")
        .get(scope);
      if ((sum?.n ?? 0) !== open) faults.push(`${open} open grants, ${sum?.n} reserved calls of ${scope}`);
    }
  } catch (error) {
    faults.push(`the loader refuses it: ${error}`);
  } finally {
    db.close();
  }
  const rows = readRows(copy);
  if (jws !== null && rows.some((row, i) => row.jws !== jws[i])) faults.push("the entries are not a prefix");
  const verdict = verifyLedger(copy, null);
  if (rows.length > 0 && verdict.exit_code !== 0) faults.push(...verdict.faults);
  return { jws: rows.map((row) => row.jws), faults };
}
