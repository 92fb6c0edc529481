import { Database, SQLiteError, type Statement } from "bun:sqlite";
import type { Json } from "../../core/json.ts";
import type { DatabaseParameter } from "../../core/plan.ts";
import { forbidCoreFiles, limitFurtherMemory } from "../../core/process-limits.ts";
import { HostFailure } from "../failure.ts";
import { resultRows } from "./rows.ts";
import { admitProgram } from "./sqlite-opcodes.ts";
import type { SqliteReply, SqliteRequest } from "./sqlite-wire.ts";

/**
 * Memory for one statement beside what the runtime has: SQLite builds values of up to a gigabyte, several at a time, and
 * its own limits count nothing in this build.
 */
const STATEMENT_BYTES = 512 * 2 ** 20;
/** How long another writer is waited for, milliseconds; the call's own deadline kills this process. */
const BUSY_MS = 5_000;

type Value = string | bigint | number | null | Uint8Array;
type Row = Readonly<Record<string, Value>>;

/** Entry of the process that runs one statement: SQLite cannot be interrupted from outside, a process can. */
export async function sqliteMain(): Promise<void> {
  // Written by the gate, which is the same program.
  const request = JSON.parse(await new Response(Bun.stdin.stream()).text()) as SqliteRequest;
  try {
    limitFurtherMemory(STATEMENT_BYTES);
    forbidCoreFiles();
    say(run(request));
  } catch (thrown) {
    say(refusalOf(thrown));
  }
}

function say(reply: SqliteReply): void {
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}

function run(request: SqliteRequest): SqliteReply {
  const reads = request.access === "read";
  using db = new Database(request.file, {
    ...(reads ? { readonly: true } : { readwrite: true, create: false }),
    safeIntegers: true,
    strict: false,
  });
  db.run(`PRAGMA busy_timeout = ${BUSY_MS}`);
  db.run("PRAGMA trusted_schema = OFF");
  db.run("PRAGMA foreign_keys = ON");
  // What is sorted or gathered counts as memory, and never becomes a file beside the gate's own.
  db.run("PRAGMA temp_store = MEMORY");
  if (reads) db.run("PRAGMA query_only = ON");
  // The schema must not change between the look at the program and its run.
  db.run(reads ? "BEGIN" : "BEGIN IMMEDIATE");
  admitProgram(db, request.statement, request.access, request.tables);
  using statement = db.prepare<Row, [Readonly<Record<string, Value>>]>(request.statement);
  const bound = Object.fromEntries(request.parameters.map((one, i) => [`$${i + 1}`, boundValue(one)]));
  const result = execute(request, statement, bound);
  const affected = reads ? 0 : changes(db);
  if (affected > request.maxAffected)
    throw new HostFailure("too_many_rows", "more rows would be changed than the plan allows");
  if (!reads) say({ committing: true });
  db.run("COMMIT");
  return { json: result.json, count: result.count, affected };
}

function execute(
  request: SqliteRequest,
  statement: Statement<Row, [Readonly<Record<string, Value>>]>,
  bound: Readonly<Record<string, Value>>,
) {
  if (new Set(statement.columnNames).size !== statement.columnNames.length)
    throw new HostFailure("duplicate_column", "two columns have the same name");
  const rows: Json[] = [];
  let bytes = 0;
  for (const row of statement.iterate(bound)) {
    const shown = Object.fromEntries(Object.entries(row).map(([name, value]) => [name, jsonOf(value)]));
    bytes += JSON.stringify(shown).length;
    rows.push(shown);
    if (rows.length > request.maxRows)
      throw new HostFailure("too_many_rows", "more rows than the plan allows");
    if (bytes > request.maxBytes)
      throw new HostFailure("response_too_large", "the rows are larger than the limit");
  }
  return resultRows(rows, request.maxRows, request.maxBytes);
}

function changes(db: Database): number {
  // `get` would leave the statement open, and nothing can be committed then.
  return Number(db.query<{ n: bigint }, []>("SELECT changes() AS n").all()[0]?.n ?? 0);
}

function boundValue({ kind, value }: DatabaseParameter): Value {
  switch (kind) {
    case "null":
      return null;
    case "boolean":
      return value === "true" ? 1n : 0n;
    case "integer":
      return BigInt(value);
    case "decimal":
      return Number(value);
    case "bytes":
      return Buffer.from(value, "base64");
    case "text":
    case "json":
      return value;
  }
}

/** As PostgreSQL's rows are: what a JSON number cannot hold is text, bytes are `\x` and hex digits. */
function jsonOf(value: Value): Json {
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if (typeof value === "number") {
    const exact = Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));
    return exact ? value : String(value);
  }
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString("hex")}`;
  return typeof value === "string" ? value.toWellFormed() : null;
}

const CODES: readonly (readonly [state: RegExp, code: string])[] = [
  [/^SQLITE_CONSTRAINT/, "constraint_violated"],
  [/^SQLITE_(?:READONLY|AUTH|PERM)/, "permission_denied"],
  [/^SQLITE_(?:BUSY|LOCKED)/, "serialization_failed"],
  [/^SQLITE_(?:CANTOPEN|NOTADB|CORRUPT|IOERR|FULL|NOMEM)/, "database_unavailable"],
  [/^SQLITE_(?:MISMATCH|RANGE|TOOBIG)/, "parameter_invalid"],
];

/** Messages stay here: they may hold values. */
function refusalOf(thrown: unknown): SqliteReply {
  if (thrown instanceof HostFailure) return { code: thrown.code, state: null };
  if (!(thrown instanceof SQLiteError)) return { code: "statement_failed", state: null };
  const state = thrown.code ?? null;
  const known = CODES.find(([pattern]) => state !== null && pattern.test(state));
  return { code: known?.[1] ?? "statement_failed", state };
}
