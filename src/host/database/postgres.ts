import { isIP } from "node:net";
import { rootCertificates } from "node:tls";
import { SQL } from "bun";
import type { Clock } from "../../core/clock.ts";
import type { Json } from "../../core/json.ts";
import type { DatabaseConnection } from "../../core/plan/connections.ts";
import type { PostgresTarget } from "../../core/plan/database.ts";
import type { BrokerJob } from "../broker.ts";
import { HostFailure } from "../failure.ts";
import { postgresFault } from "./postgres-errors.ts";
import { mayRunUnseen, REACHABLE, type Reachable } from "./postgres-functions.ts";
import { type SentStatement, sentStatement } from "./postgres-statement.ts";
import { type ResultRows, readRow, resultRows } from "./rows.ts";

/** Until the server is reached, authenticated and ready. */
const CONNECT_MS = 5_000;
/**
 * How long a cancelled statement may take to end before its backend is terminated: a cancellation that arrives just
 * before the statement does is lost.
 */
const CANCEL_MS = 300;
/** How long that may take before the connection is dropped, and the server left to its own time limit. */
const TERMINATE_MS = 2_000;

export interface DatabaseResult extends ResultRows {
  readonly affected: number;
}

/** The address of a target that was judged; the name is left for the certificate. */
export interface DialledAddress {
  readonly address: string;
  readonly port: number;
}

/**
 * Runs the planned statement in a transaction of its own, on a connection of its own: no state of a session survives a
 * call. A read cannot write, by the transaction and by the session; a write that changes more rows than planned is
 * rolled back. Throws `HostFailure`, or the signal's reason.
 */
export async function runPostgres(
  job: BrokerJob<"database">,
  connection: DatabaseConnection,
  target: PostgresTarget,
  dialled: DialledAddress,
  clock: Clock,
): Promise<DatabaseResult> {
  const { signal, deadline, record } = job;
  signal.throwIfAborted();
  const left = Math.max(1, Math.ceil(deadline - clock.monotonic()));
  const options = optionsOf(job, connection, target, dialled, left);
  const sql = new SQL(options);
  const running: Running = { query: null, backend: null, committing: false };
  try {
    const work = transaction(sql, job, running);
    return await unlessAborted(work, running, signal, options);
  } catch (thrown) {
    const otherwise = record.reached === "none" ? "connect_failed" : "connection_reset";
    const { failure, sqlstate } = postgresFault(thrown, otherwise);
    record.sqlstate = sqlstate;
    // The server answered in full, with an error; then nothing of the transaction stands.
    if (record.reached === "maybe" && (sqlstate !== null || !running.committing)) record.affected = 0;
    if (record.reached === "maybe" && sqlstate !== null) record.reached = "confirmed";
    if (signal.aborted) throw signal.reason;
    if (!running.committing && ROLLED_BACK.has(failure.code)) record.reached = "confirmed";
    throw failure;
  } finally {
    await sql.close({ timeout: 0 }).catch(() => undefined); // there is nobody to tell: the work has ended
  }
}

/** Failures of the gate's own checks, made on a full answer; the client has rolled back then. */
const ROLLED_BACK: ReadonlySet<string> = new Set([
  "too_many_rows",
  "response_too_large",
  "duplicate_column",
  "malformed_response",
]);

interface Running {
  query: { cancel(): unknown } | null;
  /** Process id of the server's end of the connection. */
  backend: number | null;
  /** The statement has been done, and the end of its transaction is under way. */
  committing: boolean;
}

async function transaction(sql: SQL, job: BrokerJob<"database">, running: Running): Promise<DatabaseResult> {
  const { plan, limits, signal, record } = job;
  const sent = sentStatement(plan, limits.responseBytes);
  // "read only" is the mode of the transaction; the session is read-only besides.
  const mode = plan.access === "read" ? "isolation level repeatable read read only" : "read write";
  const result = await sql.begin(mode, async (tx) => {
    const [session] = await tx.unsafe<readonly Reachable[]>(REACHABLE);
    running.backend = session?.pid ?? null;
    signal.throwIfAborted();
    if (session === undefined || mayRunUnseen(plan.statement, session))
      throw new HostFailure("statement_refused", "the statement may run a function that is not allowed");
    const query = prepared(tx, sent);
    running.query = query;
    record.reached = "maybe";
    const answer: Answer = await query;
    running.query = null;
    signal.throwIfAborted();
    const found = judged(job, answer);
    running.committing = true;
    return found;
  });
  record.rows = result.count;
  record.affected = result.affected;
  record.reached = "confirmed";
  return result;
}

interface Answer extends ReadonlyArray<{ readonly j?: unknown }> {
  readonly count: number;
}

/**
 * One prepared statement: the extended protocol takes one only. Without a parameter `unsafe` would use the simple one,
 * so such a text goes in as a template of one part.
 */
function prepared(tx: SQL, { text, values }: SentStatement): SQL.Query<Answer> {
  if (values.length > 0) return tx.unsafe<Answer>(text, [...values]);
  const strings: readonly string[] = [text];
  Object.defineProperty(strings, "raw", { value: strings });
  return tx<Answer>(strings as TemplateStringsArray); // `raw` has just been given
}

/** The answer against the limits of the plan; throwing rolls everything back. */
function judged({ plan, limits }: BrokerJob<"database">, answer: Answer): DatabaseResult {
  if (!plan.returns) {
    if (answer.count > plan.maxAffected) throw tooManyChanged();
    return { json: "[]", count: 0, affected: answer.count };
  }
  const affected = plan.access === "read" ? 0 : answer.length;
  if (affected > plan.maxAffected) throw tooManyChanged();
  if (answer.length > plan.maxRows) throw new HostFailure("too_many_rows", "more rows than the plan allows");
  const rows: Json[] = [];
  for (const { j } of answer) {
    if (typeof j !== "string")
      throw new HostFailure("response_too_large", "the rows are larger than the limit");
    rows.push(readRow(j));
  }
  return { ...resultRows(rows, plan.maxRows, limits.responseBytes), affected };
}

function tooManyChanged(): HostFailure {
  return new HostFailure("too_many_rows", "more rows would be changed than the plan allows");
}

/**
 * Ends the work when the call is over: the running statement is cancelled on the server, through a connection of its
 * own; when it does not say so in time its backend is terminated; then the caller drops the connection.
 */
async function unlessAborted<T>(
  work: Promise<T>,
  running: Running,
  signal: AbortSignal,
  options: SQL.Options,
): Promise<T> {
  const ended = work.then(
    () => undefined,
    () => undefined, // told by the race below
  );
  const within = (ms: number) => Promise.race([ended, Bun.sleep(ms)]);
  let onAbort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    const end = async () => {
      const { query } = running;
      if (query !== null || running.committing) {
        query?.cancel();
        await within(CANCEL_MS);
        if (running.query !== null)
          await Promise.all([terminate(running.backend, options), within(TERMINATE_MS)]);
        else await within(TERMINATE_MS);
      }
      reject(signal.reason);
    };
    onAbort = () => void end();
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    running.query = null;
    signal.removeEventListener("abort", onAbort);
    aborted.catch(() => undefined); // it lost the race
  }
}

/** Ends a backend of the same role. When that cannot be done either, its own statement_timeout is left. */
async function terminate(backend: number | null, options: SQL.Options): Promise<void> {
  if (backend === null) return;
  const sql = new SQL({ ...options, connectionTimeout: 1 });
  try {
    await Promise.race([sql`select pg_terminate_backend(${backend}::int)`, Bun.sleep(TERMINATE_MS)]);
  } catch {
    return;
  } finally {
    await sql.close({ timeout: 0 }).catch(() => undefined);
  }
}

/** Every member that Bun would otherwise take from the environment (`DATABASE_URL`, `PG…`) is given. */
function optionsOf(
  { plan, secrets }: BrokerJob<"database">,
  { ca }: DatabaseConnection,
  target: PostgresTarget,
  dialled: DialledAddress,
  leftMs: number,
): SQL.Options {
  return {
    adapter: "postgres",
    hostname: dialled.address,
    port: dialled.port,
    database: target.database,
    username: target.user,
    // An empty one would be filled from the environment: this one opens nothing.
    password: plan.secret === null ? "none" : Buffer.from(secrets.bytes(plan.secret)).toString("utf8"),
    tls:
      target.tls === "off"
        ? false
        : {
            ca: ca ?? [...rootCertificates],
            rejectUnauthorized: true,
            ...(isIP(target.host) === 0 ? { serverName: target.host } : {}),
          },
    max: 1,
    idleTimeout: 0,
    connectionTimeout: Math.max(1, Math.ceil(Math.min(leftMs, CONNECT_MS) / 1000)),
    // What comes with the connection beats the settings of role and database.
    connection: {
      application_name: "latchgate",
      client_encoding: "UTF8",
      // The parser has read the text under this rule.
      standard_conforming_strings: "on",
      search_path: `"${target.schema.replaceAll('"', '""')}"`,
      statement_timeout: String(leftMs),
      lock_timeout: String(leftMs),
      idle_in_transaction_session_timeout: String(leftMs + TERMINATE_MS),
      default_transaction_read_only: plan.access === "read" ? "on" : "off",
      DateStyle: "ISO, YMD",
      IntervalStyle: "postgres",
      bytea_output: "hex",
      extra_float_digits: "1",
      TimeZone: "UTC",
    },
  };
}
