import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { type GateProcess, openPolicy, runBinary, startGate } from "../gate-process.ts";
import {
  OPEN_ROLE,
  POSTGRES_INSTALL,
  type PostgresServer,
  postgresPrograms,
  startPostgres,
} from "../postgres.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";

const folder = mkdtempSync(join(tmpdir(), "latchgate-db-"));
afterAll(() => rmSync(folder, { recursive: true }));

const SCHEMA = "create table orders (id integer primary key, customer text, total real)";
const ROWS = "insert into orders values (1, 'ann', 10.5), (2, 'bob', 20), (3, 'ann', 0.25)";
const SECRET = "create table payroll (secret text)";

const TOTALS = stringify({
  apiVersion: "latchgate/v1",
  id: "customer_totals",
  version: "1.0.0",
  summary: "Totals of a customer.",
  risk: { level: "low", because: "one column of one table" },
  effects: ["db_read"],
  provider: "builtin:database",
  params: {
    type: "object",
    required: ["customer"],
    properties: { customer: { type: "string", maxLength: 100 } },
  },
  database: {
    connection: "main",
    engine: "ENGINE",
    access: "read",
    statement: "select id, total from orders where customer = $1 order by id",
    parameters: [{ $param: "customer" }],
    tables: ["orders"],
  },
  verify: { kind: "database", rows: { min: 1 } },
});

/** A write whose statement the agent gives, and whose manifest does not say how many rows it may change. */
const CHANGE = stringify({
  apiVersion: "latchgate/v1",
  id: "order_change",
  version: "1.0.0",
  summary: "Change one order.",
  risk: { level: "high" },
  effects: ["db_write"],
  provider: "builtin:database",
  params: {
    type: "object",
    required: ["statement"],
    properties: { statement: { type: "string", maxLength: 500 } },
  },
  database: {
    connection: "main",
    engine: "ENGINE",
    access: "write",
    mode: "parameterized",
    statement: { $param: "statement" },
    parameters: [],
    tables: ["orders"],
  },
  verify: { kind: "database" },
});

/** What holds for a gate whose connection main leads to such a database, whatever its engine. */
function behaves(start: () => Promise<GateProcess>, counted: () => Promise<number>): void {
  let gate: GateProcess;
  let agent: WireAgent;
  let operator: WireOperator;
  beforeAll(async () => {
    gate = await start();
    agent = await WireAgent.connect(gate.clientSocket);
    operator = await WireOperator.of(gate);
  }, 60_000);
  afterAll(async () => gate[Symbol.asyncDispose]());

  test("database_query gives rows, and its receipt tells of the statement without showing it", async () => {
    const done = await agent.execute("database_query", {
      statement: "select id, total from orders where customer = $1 order by id;",
      parameters: ["ann"],
    });
    expect(done.body).toMatchObject({
      status: "executed",
      confirmed: true,
      verification: { outcome: "verified" },
      output: {
        ok: true,
        row_count: 2,
        affected: 0,
        rows: [
          { id: 1, total: 10.5 },
          { id: 3, total: 0.25 },
        ],
      },
    });
    const receipt = JSON.stringify((await agent.receipt(done.body.receipt_id)).body);
    expect(receipt).toContain('"kind":"database"');
    expect(receipt).not.toContain("select id");
    expect(receipt).not.toContain("ann");
  });

  test("an action with a fixed statement takes its parameters alone, and expects rows", async () => {
    const done = await agent.execute("customer_totals", { customer: "bob" });
    expect(done.body.output.rows).toEqual([{ id: 2, total: 20 }]);
    const none = await agent.execute("customer_totals", { customer: "nobody" });
    expect(none.body).toMatchObject({ status: "verification_failed" });
  });

  test.each([
    ["delete from orders", "statement_refused"],
    ["select 1; delete from orders", "statement_refused"],
    ["with x as (delete from orders returning *) select * from x", "statement_refused"],
    ["select pg_sleep(1), load_extension('x')", "statement_refused"],
    ["select $1 as x", "statement_refused"],
  ])("database_query refuses %s before anything is asked of anybody", async (statement, code) => {
    const refused = await agent.execute("database_query", { statement });
    expect([refused.status, refused.body.error]).toEqual([403, "policy_denied"]);
    expect(refused.body.deny_reason).toStartWith(`${code}: `);
    expect(await counted()).toBe(3);
  });

  test("a table that the connection does not list is not read", async () => {
    const refused = await agent.execute("database_query", { statement: "select secret from payroll" });
    expect(refused.body.status).not.toBe("executed");
    expect(refused.text).toContain("statement_refused");
    expect(refused.text).not.toContain("top secret");
  });

  test("database_execute is held; the approver sees statement, values and target; approved, it runs once", async () => {
    const held = await agent.execute("database_execute", {
      statement: "update orders set total = $1 where id = $2",
      parameters: [11, 1],
    });
    expect(held.status).toBe(202);
    const { plan } = (await operator.call("GET", `/v1/approvals/${held.body.approval_id}`)).body;
    expect(plan).toMatchObject({
      kind: "database",
      connection: "main",
      class: "update",
      statement: "update orders set total = $1 where id = $2",
      parameters: [
        { kind: "integer", value: "11" },
        { kind: "integer", value: "1" },
      ],
      max_affected: 100,
      secret: null,
    });
    const approved = await operator.approve(held.body.approval_id);
    expect(approved.body).toMatchObject({
      decision: "executed",
      output: { ok: true, affected: 1, rows: [] },
    });
    expect((await operator.approve(held.body.approval_id)).body.decision).not.toBe("executed");
  });

  test.each([
    "update orders set total = 0",
    "update orders set total = 0 where(1=1)",
    "update orders set total = 0 where id in (select id from orders where total > 0)",
    "delete from orders",
  ])("an approval does not lift the limit of rows: %s", async (statement) => {
    const held = await agent.execute("order_change", { statement });
    expect(held.status).toBe(202);
    const { plan } = (await operator.call("GET", `/v1/approvals/${held.body.approval_id}`)).body;
    expect(plan).toMatchObject({ statement, max_affected: 1 });
    const ended = await operator.approve(held.body.approval_id);
    expect(ended.body).toMatchObject({ status: "verification_failed", failure: "too_many_rows" });
    const receipt = await agent.receipt(ended.body.receipt_id);
    expect(receipt.body.effect_evidence).toMatchObject([
      { kind: "database", reached: "confirmed", error: "too_many_rows", affected: 0 },
    ]);
    const left = await agent.execute("database_query", {
      statement: "select count(*) as n from orders where total > 0",
    });
    expect(left.body.output.rows).toEqual([{ n: 3 }]);
  });

  test("an action of another connection, or with another engine, is refused by name", async () => {
    const refused = await agent.execute("elsewhere", { customer: "ann" });
    expect(refused.body.deny_reason).toContain("connection_missing");
  });

  test("the log of all this verifies", async () => {
    const ended = await runBinary(["verify", gate.ledger, "--trust", gate.fingerprint, "--json"], {
      cwd: folder,
      env: gate.env,
    });
    expect([ended.code, ended.stderr]).toEqual([0, ""]);
  });
}

const actions = (engine: string) => ({
  "totals.yaml": TOTALS.replace("ENGINE", engine),
  "change.yaml": CHANGE.replace("ENGINE", engine),
  "elsewhere.yaml": TOTALS.replace("ENGINE", engine)
    .replace("id: customer_totals", "id: elsewhere")
    .replace("connection: main", "connection: other"),
});
const policy = openPolicy(undefined, { actions: ["customer_totals", "elsewhere", "order_change"] });

describe("on SQLite", () => {
  const file = join(folder, "shop.db");
  behaves(
    async () => {
      using db = new Database(file, { create: true });
      for (const statement of [SCHEMA, ROWS, SECRET, "insert into payroll values ('top secret')"])
        db.run(statement);
      const config = `[[connections.database]]\nname = "main"\nengine = "sqlite"\nfile = "${file}"\ntables = ["orders"]\n`;
      return startGate({ config, policy, actions: actions("sqlite") });
    },
    async () => {
      using db = new Database(file, { readonly: true });
      return db.query("select * from orders").all().length;
    },
  );
});

const here = postgresPrograms() !== null;
if (!here) test.skip(`databases on PostgreSQL (needs initdb: ${POSTGRES_INSTALL})`, () => undefined);

describe.skipIf(!here)("on PostgreSQL", () => {
  let server: PostgresServer;
  afterAll(() => server.stop());
  behaves(
    async () => {
      server = await startPostgres();
      await server.admin(`create role ${OPEN_ROLE} login; ${SCHEMA}; ${ROWS}; ${SECRET};
        insert into payroll values ('top secret'); grant all on orders, payroll to ${OPEN_ROLE}`);
      const config = `[[connections.database]]\nname = "main"\nhost = "127.0.0.1"\nport = ${server.port}
database = "postgres"\nuser = "${OPEN_ROLE}"\ntables = ["orders"]\nca_file = "../ca.pem"\n`;
      const files = { "ca.pem": server.authority.certificate };
      return startGate({ config, policy, files, actions: actions("postgresql") });
    },
    async () => (await server.admin("select * from orders")).length,
  );
});

/** With what a careless driver might tell: quotes, a percent sign, letters beyond ascii. */
const DB_PASSWORD = 'cl\u00e9rk\'s "pass" 100% word';
const WRONG = "not-the-password-0123456789";

/** A value as it might be told somewhere. */
const spellings = (value: string): readonly string[] => [
  value,
  JSON.stringify(value).slice(1, -1),
  encodeURIComponent(value),
  Buffer.from(value).toString("base64").replace(/=+$/, ""),
  Buffer.from(value).toString("hex"),
];

describe.skipIf(!here)("on PostgreSQL with a password from the secrets file", () => {
  let server: PostgresServer;
  let gate: GateProcess;
  let agent: WireAgent;
  beforeAll(async () => {
    server = await startPostgres();
    await server.admin(`create role clerk login password '${DB_PASSWORD.replaceAll("'", "''")}'; ${SCHEMA}; ${ROWS};
      grant select on orders to clerk`);
    const [role] = await server.admin("select rolpassword from pg_authid where rolname = 'clerk'");
    expect(role?.rolpassword).toStartWith("SCRAM-SHA-256$");
    const config = `[[connections.database]]\nname = "main"\nhost = "127.0.0.1"\nport = ${server.port}
database = "postgres"\nuser = "clerk"\npassword_secret = "DB_PASSWORD"\ntables = ["orders"]\nca_file = "../ca.pem"\n`;
    gate = await startGate({ config, policy, files: { "ca.pem": server.authority.certificate } });
    agent = await WireAgent.connect(gate.clientSocket);
  }, 60_000);
  afterAll(async () => {
    await gate[Symbol.asyncDispose]();
    await server.stop();
  });

  const query = () =>
    agent.execute("database_query", {
      statement: "select id from orders where customer = $1 order by id",
      parameters: ["ann"],
    });
  /** Whichever test needs it first. */
  let made: Promise<unknown> | null = null;
  const secretsFile = () => {
    made ??= runBinary(["secrets", "init"], { cwd: gate.root, env: gate.env }).then(({ code }) =>
      expect(code).toBe(0),
    );
    return made;
  };
  const set = async (...words: string[]) => {
    const value = words.pop() ?? "";
    await secretsFile();
    const options = { cwd: gate.root, env: gate.env, stdin: value };
    const done = await runBinary(["secrets", "set", ...words], options);
    expect(done).toMatchObject({ code: 0 });
    for (const spelling of spellings(value)) expect(done.stdout + done.stderr).not.toContain(spelling);
  };

  test("without the secret nothing is asked of the server", async () => {
    expect((await query()).body).toMatchObject({
      status: "failed",
      dispatched: "no",
      failure: "secret_missing",
    });
  });

  test("a wrong password ends with a code of its own, and its value stands nowhere", async () => {
    await set("DB_PASSWORD", WRONG);
    const refused = await query();
    expect(refused.body).toMatchObject({
      status: "failed",
      dispatched: "no",
      failure: "authentication_failed",
    });
    const receipt = await agent.receipt(refused.body.receipt_id);
    expect(receipt.body).toMatchObject({ signature_status: "valid", status: "failed" });
    for (const spelling of spellings(WRONG)) {
      expect(refused.text + receipt.text + gate.stderr()).not.toContain(spelling);
    }
  });

  test("the right one logs in by SCRAM, without a restart, and the receipt names the secret alone", async () => {
    await set("DB_PASSWORD", DB_PASSWORD);
    const done = await query();
    expect(done.body).toMatchObject({
      status: "executed",
      confirmed: true,
      output: { ok: true, rows: [{ id: 1 }, { id: 3 }] },
    });
    const receipt = await agent.receipt(done.body.receipt_id);
    expect(receipt.body.effect_evidence).toMatchObject([{ kind: "database", reached: "confirmed" }]);
    for (const spelling of spellings(DB_PASSWORD))
      expect(done.text + receipt.text + gate.stderr()).not.toContain(spelling);
  });

  test("neither stands in a file of the gate, and the log of it verifies", async () => {
    expect(await gate.stop()).toBe(0);
    for (const name of readdirSync(gate.dir, { recursive: true, encoding: "utf8" })) {
      const path = join(gate.dir, name);
      if (!statSync(path).isFile()) continue;
      const bytes = readFileSync(path);
      for (const spelling of [...spellings(WRONG), ...spellings(DB_PASSWORD)])
        expect([name, bytes.includes(spelling)]).toEqual([name, false]);
    }
    expect((await gate.run("verify", gate.ledger, "--strict")).code).toBe(0);
  });
});
