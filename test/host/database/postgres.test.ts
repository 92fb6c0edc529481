import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createServer, type Socket } from "node:net";
import type { DatabaseEffect } from "../../../src/core/effect.ts";
import type { HostAnswer } from "../../../src/core/host-call.ts";
import { type Connections, NO_CONNECTIONS } from "../../../src/core/plan/connections.ts";
import type { DatabaseParameter, PostgresTarget } from "../../../src/core/plan/database.ts";
import type { DatabasePlan } from "../../../src/core/plan.ts";
import type { SecretSource } from "../../../src/core/secrets.ts";
import { createHost } from "../../../src/host/index.ts";
import { makeAuthority } from "../../certificates.ts";
import {
  PASSWORD,
  POSTGRES_INSTALL,
  type PostgresServer,
  postgresPrograms,
  startPostgres,
} from "../../postgres.ts";
import { callFor, databasePlan, doorRequest, LIMITS } from "../plans.ts";

const here = postgresPrograms() !== null;
const required = process.env.LATCHGATE_TEST_REQUIRE === "all";

let server: PostgresServer;
let plain: PostgresServer;

const text = (...values: string[]): DatabaseParameter[] => values.map((value) => ({ kind: "text", value }));

/** A source that knows the password, and a wrong one. */
const secrets: SecretSource = {
  open: async ({ names }) => ({
    bytes: (name) => {
      if (!names.includes(name)) throw new Error("not asked for");
      return Buffer.from(name === "PASSWORD" ? PASSWORD : "wrong-password-value");
    },
    release: () => {},
  }),
};

interface Ran {
  readonly answer: HostAnswer;
  readonly effect: DatabaseEffect;
}

interface Scene {
  readonly target?: Partial<PostgresTarget>;
  readonly secret?: string | null;
  readonly ca?: string | null;
  readonly limits?: Partial<typeof LIMITS>;
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

/** Performs one statement through a door, as a granted call would. */
async function perform(changes: Partial<DatabasePlan>, scene: Scene = {}): Promise<Ran> {
  const target: PostgresTarget = {
    engine: "postgresql",
    host: "127.0.0.1",
    port: server.port,
    database: "postgres",
    user: "gate",
    schema: "public",
    tls: "verify",
    ...scene.target,
  };
  const secret = scene.secret === undefined ? "PASSWORD" : scene.secret;
  const ca = scene.ca === undefined ? server.authority.certificate : scene.ca;
  const connections: Connections = {
    ...NO_CONNECTIONS,
    database: new Map([["orders", { target, secret, ca, tables: null }]]),
  };
  const resolve = async () => [{ address: "127.0.0.1", ttl: 60 }];
  const host = createHost({ connections, secrets, testing: { resolve } });
  const plan = databasePlan({ target, secret, parameters: [], ...changes });
  const door = host.door(
    doorRequest(plan, {
      limits: { ...LIMITS, ...scene.limits },
      deadline: performance.now() + (scene.deadlineMs ?? 20_000),
      ...(scene.signal === undefined ? {} : { signal: scene.signal }),
    }),
  );
  const answer = await door.call(callFor(plan));
  await door.close();
  await host.close();
  return { answer, effect: door.effects()[0] as DatabaseEffect }; // the plan's own kind
}

const read = (statement: string, parameters: DatabaseParameter[] = [], changes: Partial<DatabasePlan> = {}) =>
  perform({ statement, parameters, ...changes });

const write = (
  statement: string,
  parameters: DatabaseParameter[] = [],
  changes: Partial<DatabasePlan> = {},
) =>
  perform({
    statement,
    parameters,
    access: "write",
    class: "insert",
    returns: / returning /.test(statement),
    maxAffected: 10,
    ...changes,
  });

function rowsOf({ answer }: Ran): unknown {
  if (!("ok" in answer) || answer.kind !== "database.execute-query") throw new Error(JSON.stringify(answer));
  return JSON.parse(answer.ok.rowsJson);
}

const code = ({ answer }: Ran) => ("err" in answer ? answer.err : "ok");

if (!here) test.skip(`PostgreSQL broker (needs initdb: ${POSTGRES_INSTALL})`, () => undefined);
if (!here && required)
  test("PostgreSQL is there", () => {
    throw new Error(`initdb is missing; install it with: ${POSTGRES_INSTALL}`);
  });

describe.skipIf(!here)("against a real PostgreSQL", () => {
  beforeAll(async () => {
    [server, plain] = await Promise.all([startPostgres(), startPostgres(false)]);
    for (const one of [server, plain])
      await one.admin(`create role gate login password '${PASSWORD}';
        create table orders (id int primary key, customer text not null, total numeric(12,2));
        insert into orders values (1, 'ann', 10.50), (2, 'bob', 20), (3, 'ann', 0.10);
        grant select, insert, update, delete on orders to gate;
        create table payroll (secret text); insert into payroll values ('top');`);
  }, 60_000);
  afterAll(async () => {
    await Promise.all([server.stop(), plain.stop()]);
  });

  test("no function of the database runs that the statement does not call", async () => {
    await server.admin(`create table kept (n int); insert into kept values (1);
      grant select, insert, delete on kept to gate;
      create function wipe(orders) returns text language plpgsql
        as $$ begin delete from kept; return 'wiped'; end $$;
      create function lower(orders) returns text language plpgsql
        as $$ begin delete from kept; return 'wiped'; end $$;
      create function clear(int, int) returns int language plpgsql
        as $$ begin delete from kept; return 1; end $$;
      create operator @-@ (leftarg = int, rightarg = int, function = clear);
      create function shout(orders) returns text stable language sql as $$ select upper($1.customer) $$`);
    const unseen = [
      "select o.wipe as x from orders o",
      "select (o).wipe as x from orders o",
      'select o."wipe" as x from orders o',
      "select o . /* ( */ WIPE as x from orders o",
      'select o.U&"w\\0069pe" as x from orders o',
      "select x.wipe from (select o.* from orders o) x",
      "select lower(o) as x from orders o",
      "select lower /* */ (o) as x from orders o",
      "select id @-@ 1 as x from orders",
    ];
    for (const one of unseen) {
      const ran = await write(`update orders set customer = (${one} limit 1) where id = 99 or true`);
      expect([one, code(ran), ran.effect.reached]).toEqual([one, "statement_refused", "none"]);
      expect([one, code(await read(one))]).toEqual([one, "statement_refused"]);
    }
    expect(await server.admin("select n from kept")).toEqual([{ n: 1 }]);
    // What can't change anything, and what is called by its full name is no matter.
    expect(rowsOf(await read("select o.shout from orders o where id = 1"))).toEqual([{ shout: "ANN" }]);
    expect(rowsOf(await read("select pg_catalog.lower('A') as b"))).toEqual([{ b: "a" }]);
    await server.admin(`drop operator @-@ (int, int); drop function clear(int, int);
      drop function wipe(orders), lower(orders), shout(orders); drop table kept`);
  });

  test("a read gives rows, and the record has what was seen and no value", async () => {
    const ran = await read("select id, total from orders where customer = $1 order by id", text("ann"));
    expect(rowsOf(ran)).toEqual([
      { id: 1, total: "10.50" },
      { id: 3, total: "0.10" },
    ]);
    expect(ran.effect).toMatchObject({
      reached: "confirmed",
      error: null,
      sqlstate: null,
      rows: 2,
      affected: 0,
      target: `127.0.0.1:${server.port}/postgres`,
      resultHash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(JSON.stringify(ran.effect)).not.toContain("ann");
  });

  test("rows come back as they are, whatever the type", async () => {
    const ran = await read(`select 9007199254740993::int8 as big, -5::int8 as small, 1.10::numeric as scaled,
      '2026-01-02 03:04:05.123456+02'::timestamptz as at, date '2026-01-02' as day, '\\x00ff'::bytea as raw,
      array[1,2,null] as list, '{"a":1.10,"n":12345678901234567890,"s":"1.10"}'::jsonb as doc, null::text as none,
      true as yes, 1.5::float8 as half, 1e300::float8 as huge, 'NaN'::float8 as nan, 'infinity'::timestamptz as never,
      E'q"\\\\\\n\u00e9\u{1f600} 1.10' as words, interval '1 day 2 hours' as span, (1, 'x') as pair`);
    expect(rowsOf(ran)).toEqual([
      {
        big: "9007199254740993",
        small: -5,
        scaled: "1.10",
        at: "2026-01-02T01:04:05.123456+00:00",
        day: "2026-01-02",
        raw: "\\x00ff",
        list: [1, 2, null],
        doc: { a: "1.10", n: "12345678901234567890", s: "1.10" },
        none: null,
        yes: true,
        half: 1.5,
        huge: "1e+300",
        nan: "NaN",
        never: "infinity",
        words: 'q"\\\n\u00e9\u{1f600} 1.10',
        span: "1 day 02:00:00",
        pair: { f1: 1, f2: "x" },
      },
    ]);
  });

  test("a column may have any name, that of the statement's own wrapping too", async () => {
    const ran = await read("select (1, 2) as q, 3 as a, 4 as b, 5 as j, 6 as s");
    expect(rowsOf(ran)).toEqual([{ q: { f1: 1, f2: 2 }, a: 3, b: 4, j: 5, s: 6 }]);
    const changed = await write(
      "update orders set customer = customer where id = 1 returning id as q, id as j",
    );
    expect(rowsOf(changed)).toEqual([{ q: 1, j: 1 }]);
  });

  test("parameters arrive as their type, and never as sql", async () => {
    const ran = await read(
      `select $1::text as t, $2::int8 + 1 as i, $3::numeric as d, $4::bool as b, encode($5::bytea, 'hex') as raw,
        $6::jsonb -> 'a' as j, $7::text is null as n, $8::int[] as list, $9::timestamptz as at`,
      [
        { kind: "text", value: "'; drop table orders; --" },
        { kind: "integer", value: "9007199254740993" },
        { kind: "decimal", value: "123456789012345678901234567890.10" },
        { kind: "boolean", value: "false" },
        { kind: "bytes", value: "AP8=" },
        { kind: "json", value: '{"a":[1,"x",null]}' },
        { kind: "null", value: "" },
        { kind: "text", value: "{1,2}" },
        { kind: "text", value: "2026-01-02T03:04:05.123456Z" },
      ],
    );
    expect(rowsOf(ran)).toEqual([
      {
        t: "'; drop table orders; --",
        i: "9007199254740994",
        d: "123456789012345678901234567890.10",
        b: false,
        raw: "00ff",
        j: [1, "x", null],
        n: true,
        list: [1, 2],
        at: "2026-01-02T03:04:05.123456+00:00",
      },
    ]);
  });

  test("a write says how many rows it changed, with RETURNING or without", async () => {
    const inserted = await write("insert into orders values ($1, $2, $3) returning id, total", [
      { kind: "integer", value: "10" },
      ...text("eve"),
      { kind: "decimal", value: "1.00" },
    ]);
    expect(rowsOf(inserted)).toEqual([{ id: 10, total: "1.00" }]);
    expect(inserted.effect).toMatchObject({ reached: "confirmed", affected: 1, rows: 1 });
    const changed = await write("update orders set total = total + 1 where id = 10");
    expect(changed.answer).toMatchObject({ ok: { rows: 0, affected: 1, rowsJson: "[]" } });
    expect((await write("delete from orders where id = 10")).effect).toMatchObject({ affected: 1, rows: 0 });
  });

  test.each(["update orders set total = 0", "update orders set total = 0 where true returning id"])(
    "%s: more rows than allowed, and none is changed",
    async (statement) => {
      const ran = await write(statement, [], { maxAffected: 2 });
      expect(code(ran)).toBe("too_many_rows");
      expect(ran.effect).toMatchObject({ reached: "confirmed", affected: 0, error: "too_many_rows" });
      expect(rowsOf(await read("select sum(total)::text as sum from orders"))).toEqual([{ sum: "30.60" }]);
    },
  );

  test("more rows, more bytes, or two columns of one name: an error and nothing else", async () => {
    const many = "select n from generate_series(1, 1000000) n";
    const ran = await read(many, [], { maxRows: 5 });
    expect([code(ran), ran.effect.reached]).toEqual(["too_many_rows", "confirmed"]);
    expect(rowsOf(await read("select n from generate_series(1, 5) n", [], { maxRows: 5 }))).toHaveLength(5);
    const wide = { statement: "select repeat('x', 100000) as x from generate_series(1, 3)", maxRows: 10 };
    expect(code(await perform(wide, { limits: { responseBytes: 4096 } }))).toBe("response_too_large");
    expect(code(await read("select 1 as a, 2 as a"))).toBe("duplicate_column");
  });

  const escapes: readonly (readonly [statement: string, state: string])[] = [
    ["insert into orders values (99, 'x', 1)", "25006"],
    ["select nextval('s')", "25006"],
    ["select secret from payroll", "42501"],
    ["select 1; select 2", "42601"],
    ["commit", "42601"],
    ["select 1) q; drop table orders; --", "42601"],
  ];
  test("what the parser would have refused, the read-only transaction and the prepared statement refuse too", async () => {
    await server.admin("create sequence s; grant usage on sequence s to gate");
    for (const [statement, state] of escapes) {
      const ran = await read(statement);
      expect([statement, code(ran) === "ok", ran.effect.affected]).toEqual([statement, false, 0]);
      // A CTE or a subquery of its own makes a syntax error of what is no query.
      expect(["42601", state]).toContain(ran.effect.sqlstate ?? "");
      expect(JSON.stringify(ran)).not.toContain("top");
    }
    expect(rowsOf(await read("select count(*) as n from orders"))).toEqual([{ n: 3 }]);
  });

  test("the session is the gate's, whatever role and database are set to", async () => {
    await server.admin(`create schema evil; create table evil.orders (id int); grant usage on schema evil to gate;
      grant select on evil.orders to gate;
      alter role gate set default_transaction_read_only = off; alter role gate set statement_timeout = 0;
      alter role gate set lock_timeout = 0; alter role gate set idle_in_transaction_session_timeout = 0;
      alter role gate set search_path = evil; alter role gate set standard_conforming_strings = off;
      alter database postgres set default_transaction_isolation = 'read committed'`);
    const settings = (names: string) =>
      `select name, setting from pg_settings where name in (${names}) order by name`;
    const fixed = `'transaction_read_only', 'default_transaction_read_only', 'transaction_isolation', 'search_path',
      'standard_conforming_strings'`;
    expect(rowsOf(await read(settings(fixed)))).toEqual([
      { name: "default_transaction_read_only", setting: "on" },
      { name: "search_path", setting: '"public"' },
      { name: "standard_conforming_strings", setting: "on" },
      { name: "transaction_isolation", setting: "repeatable read" },
      { name: "transaction_read_only", setting: "on" },
    ]);
    const limits = "'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout'";
    const set = rowsOf(await read(settings(limits))) as { setting: string }[];
    expect(set).toHaveLength(3);
    for (const { setting } of set) {
      expect(Number(setting)).toBeGreaterThan(0);
      expect(Number(setting)).toBeLessThanOrEqual(22_000);
    }
    expect(rowsOf(await read("select count(*) as n from orders"))).toEqual([{ n: 3 }]);
    await server.admin(`drop schema evil cascade; alter role gate reset all;
      alter database postgres reset all`);
  });

  test("several statements are never run, with parameters or without", async () => {
    for (const parameters of [[], text("x")]) {
      const ran = await write("delete from orders; select 1", parameters);
      expect(ran.effect).toMatchObject({ sqlstate: "42601", affected: 0 });
    }
    expect(rowsOf(await read("select count(*) as n from orders"))).toEqual([{ n: 3 }]);
  });

  test("SQLSTATEs become codes, and neither detail nor value is told", async () => {
    const cases: readonly (readonly [Promise<Ran>, string, string])[] = [
      [write("insert into orders values (1, 'hidden-value', 1)"), "constraint_violated", "23505"],
      [write("insert into orders values (77, null, 1)"), "constraint_violated", "23502"],
      [read("select secret from payroll"), "permission_denied", "42501"],
      [read("select $1::int as x", text("hidden-value")), "parameter_invalid", "22P02"],
      [read("select 1 / 0 as x"), "parameter_invalid", "22012"],
      [read("select nothing from orders"), "statement_failed", "42703"],
    ];
    for (const [running, wanted, state] of cases) {
      const ran = await running;
      expect([code(ran), ran.effect.sqlstate, ran.effect.reached]).toEqual([wanted, state, "confirmed"]);
      expect(JSON.stringify(ran)).not.toContain("hidden-value");
    }
  });

  test("a wrong password, database or port is an error before anything ran, without the password", async () => {
    const wrong = await perform({ statement: "select 1 as x" }, { secret: "WRONG" });
    expect([code(wrong), wrong.effect.sqlstate, wrong.effect.reached]).toEqual([
      "authentication_failed",
      "28P01",
      "none",
    ]);
    expect(JSON.stringify(wrong)).not.toContain("wrong-password-value");
    const nowhere = await perform({ statement: "select 1 as x" }, { target: { database: "nowhere" } });
    expect([code(nowhere), nowhere.effect.reached]).toEqual(["database_unavailable", "none"]);
    const closed = await perform({ statement: "select 1 as x" }, { target: { port: 1 } });
    expect([code(closed), closed.effect.reached]).toEqual(["connect_failed", "none"]);
  });

  test("what the environment says of databases changes nothing, without a secret either", async () => {
    const before = { ...process.env };
    const said: Readonly<Record<string, string>> = {
      PGPASSWORD: PASSWORD,
      PGUSER: "postgres",
      PGUSERNAME: "postgres",
      PGHOST: "127.0.0.2",
      PGPORT: "1",
      PGDATABASE: "template1",
      PGSSLMODE: "disable",
      PGOPTIONS: "-c default_transaction_read_only=off",
      DATABASE_URL: "postgres://127.0.0.1:1/x",
      POSTGRES_URL: "postgres://127.0.0.1:1/x",
      TLS_DATABASE_URL: "postgres://127.0.0.1:1/x",
    };
    Object.assign(process.env, said);
    try {
      expect(rowsOf(await read("select current_user::text as me"))).toEqual([{ me: "gate" }]);
      const wrong = await perform({ statement: "select 1 as x" }, { secret: "WRONG" });
      expect(code(wrong)).toBe("authentication_failed");
      const without = await perform({ statement: "select 1 as x" }, { secret: null });
      expect(code(without)).toBe("authentication_failed");
    } finally {
      for (const name of Object.keys(said))
        if (before[name] === undefined) delete process.env[name];
        else process.env[name] = before[name];
    }
  });

  test("TLS: another authority, another name, or none at all, whatever the environment says: tls_failed", async () => {
    const other = makeAuthority("another").certificate;
    const cases: readonly Scene[] = [
      { ca: other },
      { ca: null },
      { target: { host: "localhost" } },
      { target: { port: plain.port } },
    ];
    for (const trusting of [false, true]) {
      if (trusting) process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
      try {
        for (const scene of cases) {
          const ran = await perform({ statement: "select 1 as x" }, scene);
          expect([code(ran), ran.effect.reached]).toEqual(["tls_failed", "none"]);
        }
      } finally {
        delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      }
    }
    expect(
      code(await perform({ statement: "select 1 as x" }, { target: { port: plain.port, tls: "off" } })),
    ).toBe("ok");
  });

  test("the name of a server is asked of the gate's own resolver, and the certificate is checked against it", async () => {
    // No hosts file and no search list has it.
    const named = await perform({ statement: "select 1 as x" }, { target: { host: "db.test" } });
    expect(code(named)).toBe("ok");
    const other = await perform({ statement: "select 1 as x" }, { target: { host: "other.test" } });
    expect([code(other), other.effect.reached]).toEqual(["tls_failed", "none"]);
  });

  test("a server that strips TLS gets no password", async () => {
    const heard: Buffer[] = [];
    const sockets = new Set<Socket>();
    const stripper = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("data", (chunk) => {
        heard.push(Buffer.from(chunk));
        // "N": no TLS here, says the man in the middle.
        if (heard.length === 1) socket.write("N");
      });
    });
    await new Promise<void>((resolve) => stripper.listen(0, "127.0.0.1", resolve));
    const address = stripper.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const ran = await perform({ statement: "select 1 as x" }, { target: { port } });
    expect([code(ran), ran.effect.reached]).toEqual(["tls_failed", "none"]);
    expect(Buffer.concat(heard)).toHaveLength(8); // SSLRequest, and nothing after it
    for (const socket of sockets) socket.destroy();
    stripper.close();
  });

  const slow = "select count(*) as n from generate_series(1, 1000000000) as slow_marker";
  const backends = async () =>
    Number(
      (await server.admin("select count(*)::int as n from pg_stat_activity where usename = 'gate'"))[0]?.n ??
        -1,
    );
  const until = async (wanted: number) => {
    const end = performance.now() + 10_000;
    while ((await backends()) !== wanted)
      if (performance.now() > end) throw new Error(`the backends of gate are not ${wanted}`);
  };

  test("a cancelled call ends its statement on the server", async () => {
    const controller = new AbortController();
    const running = perform({ statement: slow }, { signal: controller.signal });
    await until(1);
    controller.abort();
    const ran = await running;
    expect(code(ran)).toBe("cancelled");
    await until(0);
  });

  test("a call past its deadline ends its statement on the server", async () => {
    const ran = await perform({ statement: slow }, { deadlineMs: 700 });
    expect(["deadline", "statement_timeout"]).toContain(code(ran));
    await until(0);
  });

  test("no session outlives its call", async () => {
    await read("select 1 as x");
    await until(0);
  });
});
