import { beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { readPostgres } from "../../src/actions/sql/postgres.ts";
import { loadPostgresParser } from "../../src/actions/sql/postgres-parser.ts";
import { readSqlite } from "../../src/actions/sql/sqlite.ts";

beforeAll(() => loadPostgresParser());

const postgres = (text: string) => {
  const read = readPostgres(text, "public");
  return read.ok ? `${read.statement.class} ${read.statement.tables.join(" ")}`.trim() : read.message;
};
const sqlite = (text: string) => {
  const read = readSqlite(text);
  return read.ok ? read.statement.class : read.message;
};

describe("the class is what PostgreSQL would do", () => {
  test.each([
    ["select a from orders", "select public.orders"],
    ["/* delete */ select a from orders -- ; delete", "select public.orders"],
    ["/* /* nested */ delete from x; */ select 1", "select"],
    ["select $$; delete from payroll; $$", "select"],
    ["select $tag$; delete $$ $tag$, ';'';', E'\\'; delete'", "select"],
    ['select ";" from "Orders; drop"', "select public.Orders; drop"],
    ["values (1), (2)", "select"],
    ["table orders;", "select public.orders"],
    ["with o as (select 1) insert into orders select * from o returning id", "insert public.orders"],
    [
      "with o as (select * from payroll) update orders set a = 1 from o",
      "update public.orders public.payroll",
    ],
    ["delete from orders where a in (select b from payroll)", "delete public.orders public.payroll"],
    [
      "select * from (select * from payroll) x union all table sales.other",
      "select public.payroll sales.other",
    ],
    ["select (select max(a) from payroll)", "select public.payroll"],
    [
      "insert into orders values (1) on conflict (id) do update set a = (select b from payroll)",
      "insert public.orders public.payroll",
    ],
  ])("%s", (text, wanted) => expect(postgres(text)).toBe(wanted));

  test("a name that a with clause binds elsewhere is the table all the same", () => {
    expect(postgres("select * from (with payroll as (select 1) select * from payroll) s, payroll")).toBe(
      "select public.payroll",
    );
    expect(postgres("with a as (select * from b), b as (select 1) select * from a, b")).toBe(
      "select public.b",
    );
    expect(postgres("with payroll as (select 1) delete from payroll")).toBe("delete public.payroll");
    expect(postgres("with payroll as (select 1) select * from payroll, public.payroll")).toBe(
      "select public.payroll",
    );
  });

  test.each([
    "with x as (delete from orders returning *) select * from x",
    "with x as (insert into orders values (1) returning *) select * from x",
    "with recursive x as (update orders set a = 1 returning *) select * from x",
    "select * from (with x as (delete from orders returning *) select * from x) y",
    "select * into copied from orders",
    "create table copied as select * from orders",
    "select * from orders for update",
    "select * from orders for key share",
    "explain analyze delete from orders",
    "select 1; select 2",
    "select 1;; select 2",
    "select 1\0; delete from orders",
    "",
    ";",
    "-- nothing",
    "commit",
    "set transaction read write",
    "set role postgres",
    "reset all",
    "copy orders to program 'sh'",
    "do $$ begin delete from orders; end $$",
    "call clean()",
    "prepare p as delete from orders",
    "execute p",
    "declare c cursor for select 1",
    "merge into orders using payroll on true when matched then delete",
    "truncate orders",
    "lock table orders",
    "listen x",
    "vacuum",
    "refresh materialized view x",
    "alter table orders add x int",
    "select pg_sleep(1)",
    "select pg_catalog.pg_sleep(1)",
    "select PG_SLEEP(1)",
    'select "pg_sleep"(1)',
    "select * from pg_ls_dir('/')",
    "select * from lateral pg_read_file('/etc/passwd') f",
    "select 1 order by pg_sleep(1)",
    "select sum(a) over (order by pg_sleep(1)) from orders",
    "select a from orders limit (select pg_sleep(1)::text::int)",
    "values (pg_sleep(1))",
    "select case when true then lo_unlink(1) end",
    "select coalesce(null, set_config('a', 'b', false))",
    "select nextval('s')",
    "select dblink('host=x', 'delete from orders')",
    "select query_to_xml('delete from orders', true, true, '')",
    "select pg_notify('a', 'b'), pg_advisory_lock(1)",
    "select current_setting('x')",
    "select public.lower('X')",
    "select 'payroll'::regclass",
    "select 'x'::public.mine",
    "select 1 operator(public.+) 2",
    "select 1 operator(public.=) any (select 2)",
    "select a from orders order by a using operator(public.<)",
    "select * from other.public.orders",
    "select xmlparse(document '<a/>')",
    "select * from orders tablesample system (1)",
    "update orders set a = 1 where current of c",
    "select $1, $3",
    "select $0",
    `select ${"not ".repeat(2000)}true`,
    `select ${"1+".repeat(4000)}1`,
    `select ${"(".repeat(8000)}1`,
    `select '${"x".repeat(20_000)}'`,
  ])("%s is refused", (text) => expect(readPostgres(text, "public").ok).toBe(false));

  test("no wrapping hides a change: comments, blanks, case, quotes and withs around it", () => {
    const noise = fc.constantFrom(" ", "\n", "\t", "/* x */", "/* ; */", "-- ;\n", "/* /* */ */", "--'\n");
    const change = fc.constantFrom(
      "delete from orders",
      "insert into orders values (1)",
      "update orders set a = 1",
      "DELETE FROM orders RETURNING *",
      "InSeRt INTO orders SELECT 1",
    );
    const around = fc.constantFrom<(inner: string) => string>(
      (inner) => inner,
      (inner) => `${inner};`,
      (inner) => `with q as (select 1) ${inner}`,
      (inner) => `with q as (${inner}) select * from q`,
      (inner) => `with q as (${inner} returning 1) select * from q`,
      (inner) => `select * from (${inner}) x`,
      (inner) => `explain analyze ${inner}`,
      (inner) => `select 1; ${inner}`,
      (inner) => `select $$a$$; ${inner}`,
      (inner) => `prepare p as ${inner}`,
    );
    fc.assert(
      fc.property(
        change,
        around,
        fc.array(noise, { maxLength: 3 }),
        fc.array(noise, { maxLength: 3 }),
        (inner, wrap, before, between) => {
          const text = before.join("") + wrap(inner.split(" ").join(` ${between.join("")} `));
          const read = readPostgres(text, "public");
          expect(read.ok && read.statement.class === "select").toBe(false);
        },
      ),
      { seed: 23, numRuns: 500 },
    );
  });

  test("the deepest statements leave the parser as it was, and take no great time", () => {
    const deep: readonly string[] = [
      `select array${"[".repeat(4080)}1${"]".repeat(4080)}`,
      `select ${"(".repeat(4080)}1${")".repeat(4080)}`,
      `select ${"- ".repeat(4080)}1`,
      `select 1${"+1".repeat(4080)}`,
      `select ${"not ".repeat(2040)}true`,
      `select 1${"::int".repeat(1600)}`,
      `select a${"[1]".repeat(2700)}`,
      `select ${"(select ".repeat(890)}1${")".repeat(890)}`,
      `select ${"case when ".repeat(380)}1${" then 1 end".repeat(380)}`,
      `select 1${" union select 1".repeat(540)}`,
      `select 1 from a${" join a".repeat(1100)}`,
      `select ${"f(".repeat(2700)}1${")".repeat(2700)}`,
    ];
    for (const text of deep) {
      expect(text.length).toBeLessThanOrEqual(8_192);
      const read = readPostgres(text, "public");
      expect(read.ok ? "read" : read.message).not.toBe("the statement could not be read");
      expect(postgres("select 1 from orders")).toBe("select public.orders");
      readSqlite(text);
    }
  });

  test("any text is read or refused, and the parser lives on", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
        const read = readPostgres(text, "public");
        expect(typeof (read.ok ? read.statement.class : read.message)).toBe("string");
      }),
      { seed: 23, numRuns: 500 },
    );
    expect(postgres("select 1")).toBe("select");
  });
});

describe("the class is what SQLite would do", () => {
  test.each([
    ["select a from orders", "select"],
    ["/* delete */ select ';' -- ; delete", "select"],
    ["with a(x) as (select 1), b as (select 2) select * from a, b", "select"],
    ["with a as (select 1) delete from orders", "delete"],
    [
      "WITH RECURSIVE a(x) AS (VALUES (1) UNION SELECT x + 1 FROM a) INSERT INTO orders SELECT x FROM a",
      "insert",
    ],
    ["insert into orders (a, b) values ($1, $2)", "insert"],
    ["update orders set a = lower($1) where b in (1, 2)", "update"],
  ])("%s", (text, wanted) => expect(sqlite(text)).toBe(wanted));

  test.each([
    "attach 'x' as y",
    "with x as (delete from orders returning *) select * from x",
    "pragma writable_schema = 1",
    "vacuum into '/tmp/x'",
    "select 1; delete from orders",
    "select load_extension('x')",
    "select \"load_extension\"('x')",
    "select writefile('x', 'y')",
    "replace into orders values (1)",
    "explain select 1",
    "begin",
    "create table x(a)",
    "select 1 /* open",
    "select 'open",
    "select ?1",
    "select :a",
    "select $1(a)",
    "select $a",
    "select $2",
    "",
    "select 1\0",
  ])("%s is refused", (text) => expect(readSqlite(text).ok).toBe(false));
});
