import { afterEach, beforeAll, expect, test } from "bun:test";
import { parseStatement } from "../../src/actions/sql/postgres.ts";
import { loadPostgresParser } from "../../src/actions/sql/postgres-parser.ts";
import { StatementReader } from "../../src/actions/sql/statement-reader.ts";

beforeAll(() => loadPostgresParser());

let reader = new StatementReader();
afterEach(() => {
  reader.close();
  reader = new StatementReader();
});

/** As long as a statement may be; another one for each number. */
function long(number: number): string {
  const columns = Array.from({ length: 1_100 }, (_, i) => `c${i + 1_000}`).join(", ");
  return `select ${number}, ${columns} from orders`;
}

/** How often the event loop turned until the promise was settled. */
async function turnsUntil(settled: Promise<unknown>): Promise<number> {
  let turns = 0;
  let over = false;
  const turn = () => {
    turns++;
    if (!over) setImmediate(turn);
  };
  setImmediate(turn);
  await settled;
  over = true;
  return turns;
}

test("while a long statement is read the event loop turns, as it does not where it is parsed", async () => {
  await reader.read({ text: "select 1", functions: [] }, "a"); // the thread is there
  for (let i = 0; i < 3; i++) {
    const text = long(i);
    const read = () => reader.read({ text, functions: [] }, "a");
    expect(await turnsUntil(Promise.resolve(parseStatement(text, [])))).toBe(0);
    expect(await turnsUntil(read())).toBeGreaterThan(0);
    // What has been read once is not read again.
    expect(await turnsUntil(read())).toBe(0);
  }
});

const STATEMENTS = [
  "select id, total from orders join shop.customers using (id) where id = $1",
  "insert into orders (id) values ($1) returning id",
  "with q as (select 1) select * from q",
  "select f(1)",
  "select lower('a')",
  "drop table orders",
  "selec 1",
  "select 1; select 2",
  "select $2",
  "select 1 \0",
  `select '${"a".repeat(9_000)}'`,
];

test("a statement is read there as it is here", async () => {
  for (const text of STATEMENTS)
    for (const functions of [[], ["f"]])
      expect(await reader.read({ text, functions }, "a")).toEqual(parseStatement(text, functions));
});

test("tenants take turns, and none may have more than so many waiting", async () => {
  const order: string[] = [];
  const read = async (tenant: string, number: number) => {
    const parsed = await reader.read({ text: long(number), functions: [] }, tenant);
    if (parsed !== null) order.push(tenant);
    return parsed;
  };
  const greedy = Array.from({ length: 34 }, (_, i) => read("a", i));
  const modest = read("b", 100);
  expect(await modest).toMatchObject({ ok: true });
  // The one that was being read, and at most one in turn.
  expect(order.filter((tenant) => tenant === "a").length).toBeLessThanOrEqual(2);
  const parsed = await Promise.all(greedy);
  expect(parsed.filter((one) => one === null).length).toBe(1);
  expect(parsed.at(-1)).toBeNull();
});

test("a statement that is not read in time is refused, and the next gets a thread of its own", async () => {
  const hasty = new StatementReader(0);
  const asked = [1, 2].map((i) => hasty.read({ text: long(i), functions: [] }, "a"));
  for (const parsed of await Promise.all(asked))
    expect(parsed).toEqual({ ok: false, message: "the statement could not be read" });
  hasty.close();
});

test("what waits at the end is refused, and nothing is read any more", async () => {
  const asked = [1, 2, 3].map((i) => reader.read({ text: long(i), functions: [] }, "a"));
  reader.close();
  for (const parsed of await Promise.all(asked)) expect(parsed).toMatchObject({ ok: false });
  expect(await reader.read({ text: "select 1", functions: [] }, "a")).toBeNull();
});
