import { type Database, SQLiteError } from "bun:sqlite";
import { HostFailure } from "../failure.ts";

/** One line of `EXPLAIN`. */
interface Instruction {
  readonly opcode: string;
  readonly p1: bigint | number;
  readonly p2: bigint | number;
  readonly p3: bigint | number;
  readonly p5: bigint | number;
}

/** Opcodes that open a table or an index: root page in p2, database in p3 (sqlite.org/opcode.html). */
const OPENS = new Set(["OpenRead", "OpenWrite", "ReopenIdx"]);
/** The root page stands in a register and not in the code. */
const IN_REGISTER = 0x10;

/** What no planned statement does: schema, virtual tables, files, settings, transactions. */
const REFUSED =
  /^(?:V[A-Z]\w*|Create\w*|Destroy|Drop\w*|ParseSchema|LoadAnalysis|SqlExec|Vacuum|IncrVacuum|JournalMode|Checkpoint|AutoCommit|Savepoint|SetCookie|Pagecount|MaxPgcnt|TableLock|CursorLock)$/;

/**
 * Whether SQLite's own byte code for a statement opens only the listed tables of the main database, and writes only
 * where the plan does. It is what would run, triggers included. Throws {@link HostFailure} `statement_refused`.
 *
 * @param tables `main.name`
 */
export function admitProgram(
  db: Database,
  statement: string,
  access: "read" | "write",
  tables: readonly string[],
): void {
  const roots = new Map<number, string>();
  for (const { rootpage, tbl_name: table } of db
    .query<{ rootpage: bigint; tbl_name: string }, []>("SELECT rootpage, tbl_name FROM sqlite_schema")
    .all())
    roots.set(Number(rootpage), table);
  const allowed = new Set(tables.map((name) => name.toLowerCase()));
  const admit = (root: number) => {
    const table = roots.get(root);
    if (table === undefined || !allowed.has(`main.${table.toLowerCase()}`))
      throw refused("the statement opens a table that is not listed");
  };
  if (isSeveral(db, statement)) throw refused("there is more than one statement");
  // One that is not finalised counts as under way, and keeps the transaction from being committed.
  using program = db.prepare<Instruction, []>(`EXPLAIN ${statement}`);
  for (const step of program.all()) {
    const { opcode, p1, p2, p3, p5 } = step;
    if (REFUSED.test(opcode)) throw refused("the statement does what no planned one may");
    if (OPENS.has(opcode)) {
      if (Number(p3) !== 0 || (Number(p5) & IN_REGISTER) !== 0)
        throw refused("the statement opens another database");
      if (opcode === "OpenWrite" && access === "read") throw refused("the statement writes");
      admit(Number(p2));
    } else if (opcode === "Clear") {
      if (access === "read" || Number(p2) !== 0) throw refused("the statement writes");
      admit(Number(p1));
    } else if (opcode === "Transaction") {
      if (Number(p1) !== 0) throw refused("the statement opens another database");
      if (access === "read" && Number(p2) !== 0) throw refused("the statement writes");
    }
  }
}

/**
 * SQLite prepares up to a semicolon and leaves the rest out in silence: what was planned would not be what runs. A bracket
 * that nothing opened is an error at the end of one statement, and is never read behind the end of a first one.
 */
function isSeveral(db: Database, statement: string): boolean {
  try {
    using _ = db.prepare(`EXPLAIN ${statement}\n)`);
    return true;
  } catch (thrown) {
    if (thrown instanceof SQLiteError && thrown.code === "SQLITE_ERROR") return false;
    throw thrown;
  }
}

function refused(message: string): HostFailure {
  return new HostFailure("statement_refused", message);
}
