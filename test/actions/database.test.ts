import { describe, expect, test } from "bun:test";
import { weakenings } from "../../src/actions/override.ts";
import { parseStatement } from "../../src/actions/sql/postgres.ts";
import { loadPostgresParser } from "../../src/actions/sql/postgres-parser.ts";
import { sha256Hex } from "../../src/core/bytes.ts";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import type { DatabaseEffect } from "../../src/core/effect.ts";
import type { Json, JsonObject } from "../../src/core/json.ts";
import { type Connections, NO_CONNECTIONS } from "../../src/core/plan/connections.ts";
import type { DatabasePlan } from "../../src/core/plan.ts";
import { databaseRecord } from "../../src/host/record.ts";
import { actionOf, databaseText, type Members, parse } from "./manifests.ts";

await loadPostgresParser();

const TARGET = {
  engine: "postgresql",
  host: "db.example.com",
  port: 5432,
  database: "shop",
  user: "gate",
  schema: "public",
  tls: "verify",
} as const;

interface Connected {
  readonly fsRoot: null;
  readonly connections: Connections;
}

function connected(tables: readonly string[] | null): Connected {
  const orders = { target: TARGET, secret: "ORDERS_PASSWORD", ca: null, tables };
  const notes = {
    target: { engine: "sqlite", file: "/srv/notes.db" } as const,
    secret: null,
    ca: null,
    tables,
  };
  return {
    fsRoot: null,
    connections: {
      ...NO_CONNECTIONS,
      database: new Map<string, typeof orders | typeof notes>([
        ["orders", orders],
        ["notes", notes],
      ]),
    },
  };
}

const WRITTEN = { statement: { $param: "sql" }, mode: "parameterized", parameters: { $param: "values" } };
const SQL_PARAMS = {
  type: "object",
  required: ["sql"],
  properties: {
    sql: { type: "string" },
    values: { type: "array", items: { type: ["string", "number", "boolean", "null"] } },
  },
};

/** An action that lets the agent write the statement. */
const free = (section: Members = {}, more: Members = {}) =>
  actionOf(databaseText({ ...WRITTEN, tables: undefined, ...section }, { params: SQL_PARAMS, ...more }));

/** What the thread for statements makes of the call's. */
function parsed(action: ReturnType<typeof actionOf>, params: JsonObject, { connections }: Connected) {
  const written = action.written(params, connections);
  return written === null ? null : parseStatement(written.text, written.functions);
}

function planned(action: ReturnType<typeof actionOf>, params: JsonObject, context = connected(["orders"])) {
  const made = action.plan(params, { ...context, statement: parsed(action, params, context) });
  return made.ok ? (made.plan as DatabasePlan) : `${made.code}: ${made.message}`;
}

describe("a database manifest", () => {
  const findings = (section: Members, more: Members = {}) => {
    const result = parse(databaseText(section, more));
    return result.ok ? [] : result.problems.map(({ path, message }) => `${path}: ${message}`);
  };

  test("whose parts fit is taken", () => {
    expect(findings({})).toEqual([]);
    expect(findings(WRITTEN, { params: SQL_PARAMS })).toEqual([]);
  });

  test.each([
    [
      "a statement that is none",
      { statement: "selec 1" },
      "database.statement: the statement is not valid sql",
    ],
    [
      "a write that calls itself a read",
      { statement: "delete from orders where customer = $1" },
      "database.access: read is not what a delete needs",
    ],
    [
      "fewer parameters than the statement takes",
      { statement: "select $1::text, $2::text from orders" },
      "database.parameters: the statement takes 2, and 1 are given",
    ],
    [
      "a statement of the agent in mode fixed",
      { statement: { $param: "customer" } },
      "database.statement: a parameter needs mode: parameterized",
    ],
    [
      "a statement of its own in mode parameterized",
      { mode: "parameterized" },
      "database.statement: mode parameterized needs {$param: name}",
    ],
    [
      "a limit of changes for a read",
      { max_affected: 2 },
      "database.max_affected: is for access write alone",
    ],
    [
      "a function that is not harmless",
      { statement: "select pg_sleep(1), $1::text" },
      "database.statement: the function pg_sleep is not allowed",
    ],
  ] as [string, Members, string][])("with %s is refused", (_, section, problem) => {
    expect(findings(section)).toContain(problem);
  });

  test("must say what it does, and how risky that is", () => {
    expect(findings({}, { effects: ["db_write"], risk: { level: "high" } })).toContain(
      "effects: access read needs the effect db_read",
    );
    const write = { statement: "delete from orders where customer = $1", access: "write" };
    expect(findings(write, { effects: ["db_write"], risk: { level: "low", because: "small" } })).toContain(
      "risk.level: low is more than one step below high, which method and effects imply",
    );
    expect(findings({}, { provider: "builtin:fs" })).toContain("provider: builtin:fs needs an fs section");
    expect(findings({}, { egress: { hosts: ["a.example.com"] } })).toContain(
      "egress: a database action has no egress",
    );
  });

  test("is weaker than another when it reaches further", () => {
    const manifest = (section: Members) => {
      const result = parse(databaseText(section));
      if (!result.ok) throw new Error(JSON.stringify(result.problems));
      return result.manifest;
    };
    const before = manifest({});
    expect(weakenings(before, manifest({}))).toEqual([]);
    expect(weakenings(before, manifest({ max_rows: 5 }))).toEqual([]);
    for (const section of [
      { connection: "payroll" },
      { tables: ["orders", "payroll"] },
      { tables: undefined },
      { max_rows: 5000 },
      { functions: ["pg_sleep"] },
      { statement: "select * from orders where customer = $1" },
    ])
      expect(weakenings(before, manifest(section))).toHaveLength(1);
  });
});

describe("a database plan", () => {
  test("has the statement, its class and tables, the target, and the name of the secret", () => {
    expect(planned(actionOf(databaseText()), { customer: "ann" })).toEqual({
      kind: "database",
      connection: "orders",
      target: TARGET,
      access: "read",
      class: "select",
      tables: ["public.orders"],
      statement: "select id from orders where customer = $1",
      parameters: [{ kind: "text", value: "ann" }],
      returns: true,
      maxRows: 100,
      maxAffected: 0,
      secret: "ORDERS_PASSWORD",
    });
  });

  test("types its values by their JSON type, or as declared, and refuses what does not fit", () => {
    const plan = planned(free(), {
      sql: "select $1::text, $2::int, $3::float8, $4::bool, $5::text from orders",
      values: ["x", 5, 1.5, true, null],
    });
    expect(plan).toMatchObject({
      parameters: [
        { kind: "text", value: "x" },
        { kind: "integer", value: "5" },
        { kind: "decimal", value: "1.5" },
        { kind: "boolean", value: "true" },
        { kind: "null", value: "" },
      ],
    });
    const declared = (as: string) =>
      actionOf(
        databaseText(
          { parameters: [{ $param: "customer", as }] },
          {
            params: {
              type: "object",
              required: ["customer"],
              properties: {
                customer: { type: "string", ...(as === "bytes" ? { contentEncoding: "base64" } : {}) },
              },
            },
          },
        ),
      );
    expect(planned(declared("integer"), { customer: "9007199254740993" })).toMatchObject({
      parameters: [{ kind: "integer", value: "9007199254740993" }],
    });
    for (const [as, value] of [
      ["integer", "1; drop"],
      ["decimal", "1e5"],
      ["bytes", "%%"],
      ["json", "{}"],
      ["boolean", "yes"],
      ["text", "a\0b"],
    ] as const)
      expect(planned(declared(as), { customer: value })).toBe(
        "invalid_content: a parameter of the statement cannot be given as declared",
      );
  });

  test.each([
    ["delete from orders", "statement_refused: delete is not what an action with access read does"],
    ["select * from payroll", "statement_refused: the statement names a table that is not listed"],
    ["select * from sales.orders", "statement_refused: the statement names a table that is not listed"],
    [
      "select * from pg_catalog.pg_authid",
      "statement_refused: the statement names a table that is not listed",
    ],
    ["select $1::int from orders", "statement_refused: the statement takes 1 parameters, and 0 are given"],
    [`select '${"x".repeat(8_100)}${"\u20ac".repeat(10)}' from orders`, "ok"],
  ])("of %s: %s", (sql, wanted) => {
    const plan = planned(free(), { sql });
    expect(typeof plan === "string" ? plan : "ok").toBe(wanted);
  });

  test("takes no more values than its statement has places for", () => {
    const wanted = "statement_refused: the statement takes 0 parameters, and 1 are given";
    expect(planned(free(), { sql: "select 1 from orders", values: ["x"] })).toBe(wanted);
  });

  test("changes one row, where the manifest does not say how many", () => {
    const write = { access: "write", statement: "delete from orders where customer = $1" };
    const more = { effects: ["db_write"], risk: { level: "high" } };
    const usual = planned(actionOf(databaseText(write, more)), { customer: "ann" });
    expect(usual).toMatchObject({ class: "delete", maxAffected: 1, maxRows: 100 });
    const said = actionOf(databaseText({ ...write, max_affected: 7 }, more));
    expect(planned(said, { customer: "ann" })).toMatchObject({ maxAffected: 7 });
  });

  test.each([
    "drop table orders",
    "truncate orders",
    "grant all on orders to public",
    "copy orders to stdout",
  ])("is never one of %s, in whatever mode", (sql) => {
    expect(planned(free(), { sql })).toStartWith("statement_refused: ");
    const write = { access: "write", statement: sql, parameters: [] };
    const fixed = parse(databaseText(write, { effects: ["db_write"], risk: { level: "high" } }));
    expect(fixed.ok ? [] : fixed.problems.map(({ path }) => path)).toContain("database.statement");
  });

  test("names only what manifest and connection both list", () => {
    const sql = "select 1 from orders, sales.refunds";
    const both = ["orders", "sales.refunds"];
    expect(planned(free({ tables: both }), { sql }, connected(both))).toMatchObject({
      tables: ["public.orders", "sales.refunds"],
    });
    expect(planned(free({ tables: both }), { sql }, connected(null))).toMatchObject({ class: "select" });
    for (const [own, opened] of [
      [both, ["orders"]],
      [["orders"], both],
    ] as const)
      expect(planned(free({ tables: own }), { sql }, connected(opened))).toStartWith("statement_refused");
    expect(planned(free(), { sql }, connected(null))).toBe(
      "statement_refused: neither the manifest nor the connection lists tables",
    );
  });

  test("goes to a configured connection of its engine alone", () => {
    expect(planned(free({ connection: "elsewhere" }), { sql: "select 1" })).toStartWith(
      "connection_missing: ",
    );
    expect(planned(free({ connection: "notes", engine: "postgresql" }), { sql: "select 1" })).toStartWith(
      "connection_missing: ",
    );
    expect(planned(free({ connection: "notes" }), { sql: "select 1" }, connected(["notes"]))).toMatchObject({
      target: { engine: "sqlite" },
      tables: ["main.notes"],
    });
    const made = free().plan({ sql: "select 1" }, { fsRoot: null });
    expect(made.ok ? "ok" : made.code).toBe("connection_missing");
  });
});

describe("what came of a statement", () => {
  const action = actionOf(databaseText({}, { verify: { kind: "database", rows: { min: 1, max: 2 } } }));
  const plan = planned(action, { customer: "ann" }) as DatabasePlan; // made from a manifest that the tests above take
  const rows: Json = [{ id: 1 }];
  const effect: DatabaseEffect = {
    ...databaseRecord(plan),
    rows: 1,
    affected: 0,
    bytes: 10,
    resultHash: sha256Hex(canonicalJson(rows)),
    reached: "confirmed",
  };
  const claim = { ok: true, row_count: 1, affected: 0, rows };
  const judged = (raw: Json, changes: Partial<DatabaseEffect> = {}) =>
    action.expect(raw, [{ ...effect, ...changes }], plan, {}, null);

  test("is verified by the host's record", () => {
    expect(judged(claim)).toEqual({ outcome: "verified", reasons: [] });
  });

  test.each([
    ["rows that the host did not see", { ...claim, rows: [{ id: 2 }] }, {}],
    ["no rows at all", { ok: true, affected: 0 }, {}],
    ["another number of changes", { ...claim, affected: 1 }, {}],
    ["no success", { ...claim, ok: false }, {}],
    ["another statement", claim, { statementHash: sha256Hex("select 2") }],
    ["other parameters", claim, { parametersHash: sha256Hex("[]") }],
    ["another connection", claim, { connection: "payroll" }],
    ["another database", claim, { target: "db.example.com:5432/payroll" }],
    ["changes by a read", { ...claim, affected: 1 }, { affected: 1 }],
    ["more rows than planned", claim, { rows: 101 }],
    ["fewer rows than expected", claim, { rows: 0 }],
    ["no number of rows", claim, { rows: null }],
    ["an error", claim, { error: "statement_failed" }],
    ["half an answer", claim, { reached: "maybe" }],
  ] as [string, Json, Partial<DatabaseEffect>][])("with %s is not", (_, raw, changes) => {
    expect(judged(raw, changes).outcome).toBe("verification_failed");
  });
});
