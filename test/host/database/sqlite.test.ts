import { Database } from "bun:sqlite";
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DatabaseEffect } from "../../../src/core/effect.ts";
import type { HostAnswer } from "../../../src/core/host-call.ts";
import { type Connections, NO_CONNECTIONS } from "../../../src/core/plan/connections.ts";
import type { DatabaseParameter } from "../../../src/core/plan/database.ts";
import type { DatabasePlan } from "../../../src/core/plan.ts";
import { createHost } from "../../../src/host/index.ts";
import { callFor, databasePlan, doorRequest, LIMITS } from "../plans.ts";

const folder = mkdtempSync(join(tmpdir(), "sqlite-"));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, "shop.db");

beforeEach(() => {
  rmSync(file, { force: true });
  using db = new Database(file, { create: true });
  db.run("create table orders (id integer primary key, customer text not null, total real, raw blob)");
  db.run("create index by_customer on orders (customer)");
  db.run("create table payroll (secret text)");
  db.run("create table audited (id integer)");
  db.run("create trigger audit after insert on audited begin insert into payroll values (new.id); end");
  db.run("create view peek as select secret from payroll");
  db.run("insert into payroll values ('top')");
  db.run("insert into orders values (1, 'ann', 10.5, x'00ff'), (2, 'bob', 20, null), (3, 'ann', 0.1, null)");
});

const target = { engine: "sqlite", file } as const;
const connections: Connections = {
  ...NO_CONNECTIONS,
  database: new Map([["orders", { target, secret: null, ca: null, tables: null }]]),
};
const host = createHost({ connections });
afterAll(() => host.close());

interface Ran {
  readonly answer: HostAnswer;
  readonly effect: DatabaseEffect;
}

async function perform(
  changes: Partial<DatabasePlan>,
  scene: {
    readonly responseBytes?: number;
    readonly signal?: AbortSignal;
    readonly deadlineMs?: number;
  } = {},
): Promise<Ran> {
  const plan = databasePlan({ target, parameters: [], tables: ["main.orders"], ...changes });
  const door = host.door(
    doorRequest(plan, {
      limits: { ...LIMITS, responseBytes: scene.responseBytes ?? LIMITS.responseBytes },
      deadline: performance.now() + (scene.deadlineMs ?? 20_000),
      ...(scene.signal === undefined ? {} : { signal: scene.signal }),
    }),
  );
  const answer = await door.call(callFor(plan));
  await door.close();
  return { answer, effect: door.effects()[0] as DatabaseEffect }; // the plan's own kind
}

const read = (statement: string, parameters: DatabaseParameter[] = []) => perform({ statement, parameters });
const write = (statement: string, changes: Partial<DatabasePlan> = {}) =>
  perform({ statement, access: "write", class: "insert", returns: false, maxAffected: 2, ...changes });
const code = ({ answer }: Ran) => ("err" in answer ? answer.err : "ok");

function rowsOf({ answer }: Ran): unknown {
  if (!("ok" in answer) || answer.kind !== "database.execute-query") throw new Error(JSON.stringify(answer));
  return JSON.parse(answer.ok.rowsJson);
}

describe("against a real SQLite file", () => {
  test("rows and parameters come through as they are", async () => {
    const ran = await read(
      "select id, customer, total, raw, 9007199254740993 as big, $2 as i, $1 as t, $3 as b, $4 as n from orders where id = 1",
      [
        { kind: "text", value: "'; drop table orders" },
        { kind: "integer", value: "9007199254740993" },
        { kind: "boolean", value: "true" },
        { kind: "null", value: "" },
      ],
    );
    expect(rowsOf(ran)).toEqual([
      {
        id: 1,
        customer: "ann",
        total: 10.5,
        raw: "\\x00ff",
        big: "9007199254740993",
        i: "9007199254740993",
        t: "'; drop table orders",
        b: 1,
        n: null,
      },
    ]);
    expect(ran.effect).toMatchObject({ reached: "confirmed", rows: 1, affected: 0, error: null });
  });

  test("a write says how many rows it changed; too many and none is", async () => {
    expect((await write("update orders set total = 1 where customer = 'ann'")).effect).toMatchObject({
      affected: 2,
      reached: "confirmed",
    });
    const ran = await write("delete from orders");
    expect(code(ran)).toBe("too_many_rows");
    expect(ran.effect).toMatchObject({ affected: 0, error: "too_many_rows" });
    expect(rowsOf(await read("select count(*) as n from orders"))).toEqual([{ n: 3 }]);
    expect(code(await write("insert into orders (customer) values ('eve')"))).toBe("ok");
    expect(rowsOf(await read("select count(*) as n from orders where customer = 'eve'"))).toEqual([{ n: 1 }]);
    const back = await write("delete from orders where id = 2 returning customer", { returns: true });
    expect(rowsOf(back)).toEqual([{ customer: "bob" }]);
  });

  test.each([
    ["another table", "select * from payroll"],
    ["a view of another table", "select * from peek"],
    ["another table in a subquery", "select (select secret from payroll) from orders"],
    ["the schema", "select * from sqlite_schema"],
    ["a virtual table", "select * from json_each('[1]')"],
    ["a pragma as a table", "select * from pragma_database_list"],
  ])("a read opens no more than it may: %s", async (_, statement) => {
    const ran = await read(statement);
    expect([code(ran), ran.effect.affected]).toEqual(["statement_refused", 0]);
    expect(JSON.stringify(ran)).not.toContain("top");
  });

  test("a write opens no more than it may, by a trigger either", async () => {
    expect(code(await write("insert into payroll values ('x')"))).toBe("statement_refused");
    expect(code(await write("delete from payroll"))).toBe("statement_refused");
    const audited = { tables: ["main.audited"] };
    expect(code(await write("insert into audited values (1)", audited))).toBe("statement_refused");
    expect(code(await write("create table x (a)"))).toBe("statement_refused");
  });

  test("what calls itself a read and writes is refused", async () => {
    for (const statement of [
      "delete from orders",
      "insert into orders (customer) values ('x')",
      "drop table orders",
    ])
      expect(code(await read(statement))).not.toBe("ok");
    expect(rowsOf(await read("select count(*) as n from orders"))).toEqual([{ n: 3 }]);
  });

  test.each([
    "attach 'OTHER' as other",
    "vacuum into 'OTHER'",
    "pragma user_version = 7",
    "pragma journal_mode = wal",
    "begin immediate",
    "select load_extension('OTHER')",
    "select 1 as a; delete from orders",
    "select 1 as a; attach 'OTHER' as other",
    "select 1 as a; -- and nothing more",
    "select 1 as a /* open",
    "",
  ])("what the planner would have refused, the broker refuses too: %s", async (statement) => {
    const other = join(folder, "other.db");
    for (const one of [read, write]) {
      const ran = await one(statement.replace("OTHER", other));
      expect([code(ran) === "ok", ran.effect.affected]).toEqual([false, 0]);
    }
    expect(await Bun.file(other).exists()).toBe(false);
    using db = new Database(file, { readonly: true });
    expect(db.query("pragma user_version").get()).toEqual({ user_version: 0 });
    expect(db.query("pragma journal_mode").get()).toEqual({ journal_mode: "delete" });
    expect(db.query("select count(*) as n from orders").get()).toEqual({ n: 3 });
  });

  test("faults have codes and no values", async () => {
    const ran = await write("insert into orders (id, customer) values (1, 'hidden-value')");
    expect([code(ran), ran.effect.sqlstate]).toEqual(["constraint_violated", "SQLITE_CONSTRAINT_PRIMARYKEY"]);
    expect(JSON.stringify(ran)).not.toContain("hidden-value");
    expect(code(await read("select 1 as a, 2 as a"))).toBe("duplicate_column");
    expect(code(await perform({ statement: "select id from orders", maxRows: 2 }))).toBe("too_many_rows");
    const wide = { statement: "select hex(zeroblob(5000)) as x" };
    expect(code(await perform(wide, { responseBytes: 4096 }))).toBe("response_too_large");
  });

  test("a file that is not there is not made", async () => {
    rmSync(file);
    expect(code(await read("select 1 as x"))).toBe("database_unavailable");
    expect(code(await write("insert into orders values (1)"))).toBe("database_unavailable");
    expect(await Bun.file(file).exists()).toBe(false);
  });

  const endless = `with recursive n(x) as (values (1) union all select x + 1 from n) select max(x) as m from n`;
  test("a call that is over takes its process with it, and others go on meanwhile", async () => {
    const controller = new AbortController();
    const running = perform({ statement: endless }, { signal: controller.signal });
    expect(rowsOf(await read("select 1 as x"))).toEqual([{ x: 1 }]);
    controller.abort();
    expect(code(await running)).toBe("cancelled");
    expect(code(await perform({ statement: endless }, { deadlineMs: 500 }))).toBe("deadline");
  });

  test("a statement that builds more than the process may hold ends there, and its change with it", async () => {
    const wide = "printf('%.*c', 900000000, 'x')";
    const ran = await read(`select length(${wide}) as n`);
    expect([code(ran), ran.effect.sqlstate]).toEqual(["database_unavailable", "SQLITE_NOMEM"]);
    const gathered = `with recursive n(x) as (values (1) union all select x + 1 from n limit 9000)
      select length(group_concat(printf('%.*c', 100000, 'x'))) as c from n`;
    expect(code(await read(gathered))).toBe("database_unavailable");
    expect(code(await write(`update orders set customer = length(${wide}) where id = 1`))).toBe(
      "database_unavailable",
    );
    expect(rowsOf(await read("select customer from orders where id = 1"))).toEqual([{ customer: "ann" }]);
  });

  test("a connection that is not the planned one any more is not used", async () => {
    const ran = await perform({ target: { engine: "sqlite", file: join(folder, "other.db") } });
    expect([code(ran), ran.effect.reached]).toEqual(["connection_missing", "none"]);
    expect(code(await perform({ connection: "elsewhere" }))).toBe("connection_missing");
  });
});
