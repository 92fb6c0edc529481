import type { HostErrorCode } from "../../core/effect.ts";
import type { SqliteTarget } from "../../core/plan/database.ts";
import type { BrokerJob } from "../broker.ts";
import { HostFailure } from "../failure.ts";
import type { DatabaseResult } from "./postgres.ts";
import { SQLITE_COMMAND, type SqliteReply, type SqliteRequest } from "./sqlite-wire.ts";

/**
 * Runs the planned statement in a process of its own, which is killed when the call is over. A change stands only when
 * the process has said that it is about to commit. Throws `HostFailure`, or the signal's reason.
 */
export async function runSqlite(
  job: BrokerJob<"database">,
  { file }: SqliteTarget,
  self: readonly string[],
): Promise<DatabaseResult> {
  const { plan, limits, signal, record } = job;
  signal.throwIfAborted();
  const request: SqliteRequest = {
    file,
    access: plan.access,
    statement: plan.statement,
    parameters: plan.parameters,
    tables: plan.tables,
    maxRows: plan.maxRows,
    maxAffected: plan.maxAffected,
    maxBytes: limits.responseBytes,
  };
  const child = Bun.spawn([...self, SQLITE_COMMAND], {
    stdin: Buffer.from(JSON.stringify(request)),
    stdout: "pipe",
    stderr: "ignore",
    env: {},
    cwd: "/",
  });
  const kill = () => child.kill("SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  if (signal.aborted) kill();
  let text: string;
  try {
    // All that it said, also after a kill: whether it was about to commit decides what is known.
    text = await new Response(child.stdout).text();
    await child.exited;
  } finally {
    signal.removeEventListener("abort", kill);
    kill();
  }
  const replies = text.split("\n").flatMap(replyOf);
  const last = replies.at(-1);
  if (replies.some((reply) => "committing" in reply)) record.reached = "maybe";
  if (last === undefined || "committing" in last) {
    if (record.reached === "none") record.affected = 0;
    signal.throwIfAborted();
    throw new HostFailure("database_unavailable", "the process of the database ended early");
  }
  if ("code" in last) {
    record.sqlstate = last.state;
    record.affected = 0;
    // It answered in full, and what it had begun has been rolled back.
    record.reached = "confirmed";
    throw new HostFailure(last.code as HostErrorCode, "the database refused the statement"); // said by sqliteMain
  }
  record.rows = last.count;
  record.affected = last.affected;
  record.reached = "confirmed";
  return last;
}

/** A line that was cut by a kill is none. */
function replyOf(line: string): readonly SqliteReply[] {
  try {
    return line === "" ? [] : [JSON.parse(line) as SqliteReply]; // written by sqliteMain, the same program
  } catch {
    return [];
  }
}
