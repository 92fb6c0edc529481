import { sha256Hex } from "../../core/bytes.ts";
import type { Clock } from "../../core/clock.ts";
import type { HostAnswer } from "../../core/host-call.ts";
import type { DatabaseConnection } from "../../core/plan/connections.ts";
import type { PostgresTarget } from "../../core/plan/database.ts";
import type { Broker, BrokerJob } from "../broker.ts";
import type { Endpoints } from "../endpoints.ts";
import { HostFailure } from "../failure.ts";
import { type DatabaseResult, runPostgres } from "./postgres.ts";
import { runSqlite } from "./sqlite.ts";

export interface DatabaseBrokerDeps {
  readonly clock: Clock;
  readonly endpoints: Endpoints;
  readonly connections: ReadonlyMap<string, DatabaseConnection>;
  /** How to start this program again, for sqlite's process. */
  readonly self: readonly string[];
}

/** Runs planned statements on the databases of the configuration. */
export class DatabaseBroker implements Broker<"database"> {
  private readonly deps: DatabaseBrokerDeps;

  constructor(deps: DatabaseBrokerDeps) {
    this.deps = deps;
  }

  async perform(job: BrokerJob<"database">): Promise<HostAnswer> {
    const { record } = job;
    const result = await this.run(job);
    record.bytes = Buffer.byteLength(result.json);
    record.resultHash = sha256Hex(result.json);
    const ok = { rows: result.count, affected: result.affected, rowsJson: result.json };
    return { kind: "database.execute-query", ok };
  }

  /** Connections and processes live no longer than their call, and the door waits for each call. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  private run(job: BrokerJob<"database">): Promise<DatabaseResult> {
    const { plan } = job;
    const { target } = plan;
    const connection = this.deps.connections.get(plan.connection);
    // A held call may come back to another configuration: what was approved is what is reached, or nothing is.
    if (
      connection === undefined ||
      !Bun.deepEquals(connection.target, target) ||
      connection.secret !== plan.secret
    )
      throw new HostFailure("connection_missing", "the configuration has no such connection any more");
    switch (target.engine) {
      case "postgresql":
        return this.runPostgres(job, connection, target);
      case "sqlite":
        return runSqlite(job, target, this.deps.self);
    }
  }

  /** The client would look the name up by getaddrinfo, where a hung one holds up the thread pool: it gets an address. */
  private async runPostgres(
    job: BrokerJob<"database">,
    connection: DatabaseConnection,
    target: PostgresTarget,
  ): Promise<DatabaseResult> {
    const { clock, endpoints } = this.deps;
    const place = await endpoints.locate(target, connection.ca, "tcp", job.signal);
    try {
      return await runPostgres(job, connection, target, place.target, clock);
    } catch (thrown) {
      if (job.record.reached === "none") endpoints.forget(target.host);
      throw thrown;
    }
  }
}
