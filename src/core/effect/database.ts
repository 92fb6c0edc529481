import type { StatementClass } from "../plan/database.ts";
import type { EffectEnd } from "./reached.ts";

export interface DatabaseEffect extends EffectEnd {
  readonly kind: "database";
  readonly connection: string;
  readonly engine: "postgresql" | "sqlite";
  /** `host:port/database`, or the path of a file, which is committed to and not shown. */
  readonly target: string;
  /** SHA-256 hex of the statement. */
  readonly statementHash: string;
  /** SHA-256 hex of the parameters as canonical JSON. */
  readonly parametersHash: string;
  readonly class: StatementClass;
  readonly tables: readonly string[];
  /** Rows that came back; null when none could. */
  readonly rows: number | null;
  /** Rows that the database says it changed; null when it did not say. */
  readonly affected: number | null;
  /** Bytes of the rows as JSON. */
  readonly bytes: number;
  /** SHA-256 hex of the rows as the component got them; null without. */
  readonly resultHash: string | null;
  /** SQLSTATE of PostgreSQL, or the name of SQLite's result code; null without an error of the database. */
  readonly sqlstate: string | null;
}
