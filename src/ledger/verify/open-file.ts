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
import { LedgerError } from "../errors.ts";

/** What a connection for reading is made from, here and in other threads. */
export interface LedgerSource {
  readonly filename: string;
  readonly flags: number;
}

export interface OpenFile {
  readonly db: Database;
  /** For further connections while this one is open. */
  readonly source: LedgerSource;
  close(): void;
}

export function openSource({ filename, flags }: LedgerSource): Database {
  return new Database(filename, flags);
}

function opened(source: LedgerSource): OpenFile {
  const db = openSource(source);
  try {
    refuseViews(db);
    db.query("SELECT 1 FROM entries LIMIT 1").all();
  } catch (cause) {
    db.close();
    throw cause;
  }
  return { db, source, close: () => db.close() };
}

/**
 * A ledger has tables and no more. What a view shows may differ from one look to the next, and from one connection to
 * another: then nobody has verified what the next one reads. SQLite is asked how it has read the schema, as the type
 * that the schema names is only a text there.
 */
function refuseViews(db: Database): void {
  const found = db
    .query<{ name: unknown }, []>(
      "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type <> 'table'",
    )
    .get();
  if (found !== null)
    throw new LedgerError("ledger_unreadable", `not a ledger: ${String(found.name)} is no ordinary table`);
}

const readOnly = (filename: string): LedgerSource => ({ filename, flags: constants.SQLITE_OPEN_READONLY });

/**
 * Opens a ledger file for reading: beside a gate that writes, on a copy, or on media that can't be written. There the
 * index of a write-ahead log can't be made: without such a log the file is read as it is, with one both are copied.
 */
function openReadOnly(path: string): OpenFile {
  if (!existsSync(path)) throw new LedgerError("ledger_unreadable", `there is no file ${path}`);
  try {
    accessSync(dirname(path), fsConstants.W_OK);
  } catch {
    return openSealed(path);
  }
  return opened(readOnly(path));
}

function openSealed(path: string): OpenFile {
  const log = `${path}-wal`;
  if (!existsSync(log) || statSync(log).size === 0) {
    const filename = `file:${path.split("/").map(encodeURIComponent).join("/")}?immutable=1`;
    return opened({ filename, flags: constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI });
  }
  const folder = mkdtempSync(join(tmpdir(), "latchgate-verify-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const copy = join(folder, "ledger.db");
    copyFileSync(path, copy);
    copyFileSync(log, `${copy}-wal`);
    const file = opened(readOnly(copy));
    return {
      ...file,
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

/** Opens a ledger file for reading. Throws `ledger_unreadable` when it is none. */
export function openLedgerFile(path: string): OpenFile {
  try {
    return openReadOnly(path);
  } catch (cause) {
    if (cause instanceof LedgerError) throw cause;
    throw new LedgerError("ledger_unreadable", `${path} is not a ledger: ${messageOf(cause)}`, { cause });
  }
}
