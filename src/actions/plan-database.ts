import { fromBase64 } from "../core/bytes.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import type { Json, JsonObject } from "../core/json.ts";
import type { Connections, DatabaseConnection } from "../core/plan/connections.ts";
import type { DatabaseParameter, DatabaseTarget, ParameterKind } from "../core/plan/database.ts";
import type { DatabasePlan } from "../core/plan.ts";
import { parameterName } from "./body-template.ts";
import type { DatabaseSection, Manifest } from "./manifest-schema.ts";
import { type PlanContext, type Planned, type PlanRefusal, refusePlan } from "./plan-result.ts";
import { parseStatement } from "./sql/postgres.ts";
import { readSqlite } from "./sql/sqlite.ts";
import { inSchema, type ParsedStatement, type ReadStatement } from "./sql/statement.ts";

/** Where names without a schema are looked up when nothing else is said; sqlite's schema has no other name. */
const USUAL_SCHEMA = { postgresql: "public", sqlite: "main" } as const;

/** Makes the one statement that checked parameters stand for. */
export function planDatabase(
  manifest: Manifest,
  section: DatabaseSection,
  params: JsonObject,
  context: PlanContext,
): Planned<DatabasePlan> | PlanRefusal {
  const connection = context.connections?.database.get(section.connection);
  if (connection === undefined)
    return refusePlan(
      "connection_missing",
      `the gate's configuration has no database connection ${section.connection}`,
    );
  const { target } = connection;
  const engine = engineOf(section);
  if (engine !== null && engine !== target.engine)
    return refusePlan("connection_missing", `the connection ${section.connection} is not ${engine}`);
  const text = textOfStatement(section, params);
  if (text === null) return refusePlan("statement_refused", "the statement must be text");
  const read = readStatement(section, text, target, context);
  if (!read.ok) return refusePlan("statement_refused", read.message);
  const { statement } = read;
  if ((statement.class === "select") !== (section.access === "read"))
    return refusePlan(
      "statement_refused",
      `${statement.class} is not what an action with access ${section.access} does`,
    );
  const allowed = allowedTables(section, connection);
  if (allowed === null)
    return refusePlan("statement_refused", "neither the manifest nor the connection lists tables");
  const outside = statement.tables.filter((table) => !allowed.includes(table));
  if (outside.length > 0)
    return refusePlan("statement_refused", "the statement names a table that is not listed");
  const parameters = parametersOf(section, params);
  if (parameters === null)
    return refusePlan("invalid_content", "a parameter of the statement cannot be given as declared");
  if (parameters.length !== statement.parameters)
    return refusePlan(
      "statement_refused",
      `the statement takes ${statement.parameters} parameters, and ${parameters.length} are given`,
    );
  const bytes = parameters.reduce(
    (sum, { value }) => sum + Buffer.byteLength(value),
    Buffer.byteLength(statement.text),
  );
  if (bytes > manifest.limits.request_kb * 1024)
    return refusePlan("request_too_large", `the statement is larger than ${manifest.limits.request_kb} kb`);
  return {
    ok: true,
    plan: {
      kind: "database",
      connection: section.connection,
      target,
      access: section.access,
      class: statement.class,
      // sqlite's own byte code says which tables it opens: these are the ones that it may.
      tables: target.engine === "sqlite" ? allowed : statement.tables,
      statement: statement.text,
      parameters,
      returns: statement.returns,
      maxRows: section.max_rows,
      maxAffected: section.access === "read" ? 0 : (section.max_affected ?? 1),
      secret: connection.secret,
    },
    unresolved: { hosts: [], paths: [] },
  };
}

/** The engine that a manifest is written for; null when it leaves that to the connection. */
export function engineOf(section: DatabaseSection): "postgresql" | "sqlite" | null {
  return section.engine ?? (section.mode === "fixed" ? "postgresql" : null);
}

/** SQL that comes with a call, for PostgreSQL's parser to read beside the thread that answers calls. */
export interface WrittenStatement {
  readonly text: string;
  readonly functions: readonly string[];
}

/** What of the call has to be read before it can be planned; null when nothing has. */
export function writtenStatement(
  section: DatabaseSection,
  params: JsonObject,
  connections: Connections,
): WrittenStatement | null {
  if (typeof section.statement === "string") return null;
  if (connections.database.get(section.connection)?.target.engine !== "postgresql") return null;
  const text = textOfStatement(section, params);
  return text === null ? null : { text, functions: section.functions };
}

function textOfStatement(section: DatabaseSection, params: JsonObject): string | null {
  const name = parameterName(section.statement);
  const text = name === null ? section.statement : params[name];
  return typeof text === "string" ? text : null;
}

function readStatement(
  section: DatabaseSection,
  text: string,
  target: DatabaseTarget,
  { statement }: PlanContext,
): ReadStatement {
  switch (target.engine) {
    case "postgresql": {
      const parsed = typeof section.statement === "string" ? fixedStatement(section, text) : statement;
      if (parsed === null || parsed === undefined) throw new Error("the statement has not been read");
      return inSchema(parsed, target.schema);
    }
    case "sqlite":
      return readSqlite(text, section.functions);
  }
}

const fixed = new WeakMap<DatabaseSection, ParsedStatement>();

/** The statement that a manifest has; read once, when the manifest is checked. */
function fixedStatement(section: DatabaseSection, text: string): ParsedStatement {
  const known = fixed.get(section);
  if (known !== undefined) return known;
  const parsed = parseStatement(text, section.functions);
  fixed.set(section, parsed);
  return parsed;
}

/** The statement that a manifest has, as its engine reads it. */
export function checkedStatement(section: DatabaseSection, text: string): ReadStatement {
  return (engineOf(section) ?? "postgresql") === "postgresql"
    ? inSchema(fixedStatement(section, text), USUAL_SCHEMA.postgresql)
    : readSqlite(text, section.functions);
}

/** Tables with their schema, sorted: those that manifest and connection both list; null when neither lists any. */
function allowedTables(section: DatabaseSection, connection: DatabaseConnection): readonly string[] | null {
  const schema =
    connection.target.engine === "postgresql"
      ? connection.target.schema
      : USUAL_SCHEMA[connection.target.engine];
  const full = (names: readonly string[]) =>
    names.map((name) => (name.includes(".") ? name : `${schema}.${name}`));
  const own = section.tables === undefined ? null : full(section.tables);
  const opened = connection.tables === null ? null : full(connection.tables);
  const both = own === null ? opened : opened === null ? own : own.filter((table) => opened.includes(table));
  return both === null ? null : [...new Set(both)].sort();
}

function parametersOf(section: DatabaseSection, params: JsonObject): readonly DatabaseParameter[] | null {
  const { parameters } = section;
  if (!Array.isArray(parameters)) {
    const given = params[parameters.$param];
    if (given === undefined) return [];
    return Array.isArray(given) ? complete(given.map((value) => parameterOf(value, undefined))) : null;
  }
  return complete(
    parameters.map(({ $param, as }) =>
      parameterOf(Object.hasOwn(params, $param) ? params[$param] : null, as),
    ),
  );
}

function complete(list: readonly (DatabaseParameter | null)[]): readonly DatabaseParameter[] | null {
  const found: DatabaseParameter[] = [];
  for (const one of list) {
    if (one === null) return null;
    found.push(one);
  }
  return found;
}

const NULL: DatabaseParameter = { kind: "null", value: "" };

/** A value as the database gets it; null when it is not of its kind. */
function parameterOf(value: Json | undefined, as: ParameterKind | undefined): DatabaseParameter | null {
  if (value === null || value === undefined) return NULL;
  const kind = as ?? kindOf(value);
  const text = textOf(kind, value);
  return text === null || text.includes("\0") || !text.isWellFormed() ? null : { kind, value: text };
}

function kindOf(value: Json): ParameterKind {
  switch (typeof value) {
    case "boolean":
      return "boolean";
    case "number":
      return Number.isSafeInteger(value) ? "integer" : "decimal";
    case "string":
      return "text";
    default:
      return "json";
  }
}

const DECIMAL = /^-?\d{1,1000}(?:\.\d{1,1000})?$/;

function textOf(kind: ParameterKind, value: Json): string | null {
  const plain = typeof value === "string" || typeof value === "number" ? String(value) : null;
  switch (kind) {
    case "null":
      return null;
    case "boolean":
      return typeof value === "boolean" ? String(value) : null;
    case "integer":
      return plain !== null && /^-?\d{1,40}$/.test(plain) ? plain : null;
    case "decimal":
      return plain !== null && (DECIMAL.test(plain) || typeof value === "number") ? plain : null;
    case "text":
      return plain ?? (typeof value === "boolean" ? String(value) : null);
    case "bytes":
      return typeof value === "string" && fromBase64(value) !== null ? value : null;
    case "json":
      return typeof value === "object" ? canonicalJson(value) : null;
  }
}
