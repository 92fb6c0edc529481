import type { JsonObject } from "../json.ts";
import type { Endpoint } from "./endpoint.ts";

/** What a statement does, by its parse tree and not by its first word. */
export const STATEMENT_CLASSES = ["select", "insert", "update", "delete"] as const;
export type StatementClass = (typeof STATEMENT_CLASSES)[number];

/**
 * How a parameter's text is to be understood: `boolean` is `true` or `false`, `integer` and `decimal` are decimal
 * digits, `bytes` is base64, `json` is JSON, `null` is the empty text.
 */
export const PARAMETER_KINDS = ["null", "boolean", "integer", "decimal", "text", "bytes", "json"] as const;
export type ParameterKind = (typeof PARAMETER_KINDS)[number];

export interface DatabaseParameter {
  readonly kind: ParameterKind;
  readonly value: string;
}

export interface PostgresTarget extends Endpoint {
  readonly engine: "postgresql";
  readonly database: string;
  readonly user: string;
  /** The one schema that names without a schema are looked up in. */
  readonly schema: string;
}

export interface SqliteTarget {
  readonly engine: "sqlite";
  /** Absolute path of the database file. */
  readonly file: string;
}

export type DatabaseTarget = PostgresTarget | SqliteTarget;

export interface DatabasePlan {
  readonly kind: "database";
  /** Name of the `[[connections.database]]` entry. */
  readonly connection: string;
  readonly target: DatabaseTarget;
  readonly access: "read" | "write";
  readonly class: StatementClass;
  /** `schema.table`, sorted: those that the statement names (postgresql), or those that it may open (sqlite). */
  readonly tables: readonly string[];
  /** One statement; `$1`, `$2` … stand for the parameters. */
  readonly statement: string;
  readonly parameters: readonly DatabaseParameter[];
  /** Whether rows come back. */
  readonly returns: boolean;
  /** Most rows that may come back. */
  readonly maxRows: number;
  /** Most rows that may be changed; beyond it everything is rolled back. 0 for a read. */
  readonly maxAffected: number;
  /** Name of the secret that holds the password; null for none. */
  readonly secret: string | null;
}

export function databasePlanToJson(plan: DatabasePlan) {
  return {
    kind: plan.kind,
    connection: plan.connection,
    target: { ...plan.target },
    access: plan.access,
    class: plan.class,
    tables: [...plan.tables],
    statement: plan.statement,
    parameters: plan.parameters.map(({ kind, value }) => ({ kind, value })),
    returns: plan.returns,
    max_rows: plan.maxRows,
    max_affected: plan.maxAffected,
    secret: plan.secret,
  } satisfies JsonObject;
}

export function databasePlanFromJson(stored: ReturnType<typeof databasePlanToJson>): DatabasePlan {
  const { max_rows: maxRows, max_affected: maxAffected, ...plan } = stored;
  return { ...plan, maxRows, maxAffected };
}

/** The place of a database as a person reads it. */
export function databaseTargetText(target: DatabaseTarget): string {
  return target.engine === "sqlite" ? target.file : `${target.host}:${target.port}/${target.database}`;
}
