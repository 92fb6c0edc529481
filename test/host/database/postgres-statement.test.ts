import { describe, expect, test } from "bun:test";
import { readPostgres } from "../../../src/actions/sql/postgres.ts";
import { loadPostgresParser, parsePostgres } from "../../../src/actions/sql/postgres-parser.ts";
import { sentStatement } from "../../../src/host/database/postgres-statement.ts";
import { readRow } from "../../../src/host/database/rows.ts";
import { databasePlan } from "../plans.ts";

describe("what is sent", () => {
  test("is one statement of the grammar, whatever the planned one ends with", async () => {
    await loadPostgresParser();
    for (const statement of [
      "select 1 as a -- no more",
      "select $$ ) q $$ as a",
      "table orders",
      "values (1) /* x */",
    ]) {
      const read = readPostgres(statement, "public");
      if (!read.ok) throw new Error(read.message);
      const { text } = sentStatement(databasePlan({ statement: read.statement.text, parameters: [] }), 100);
      const tree = parsePostgres(text) as unknown as { stmts: { stmt: object }[] }; // libpg-query's own form
      expect(tree.stmts.map(({ stmt }) => Object.keys(stmt))).toEqual([["SelectStmt"]]);
    }
  });

  test("asks for one row more than allowed, and for null instead of a row beyond the byte limit", () => {
    const { text } = sentStatement(databasePlan({ maxRows: 5 }), 4096);
    expect(text).toContain("limit 6)");
    expect(text).toContain("case when s <= 4096 then j end");
  });

  test("leaves a statement without rows as it is", () => {
    const plan = databasePlan({
      access: "write",
      class: "delete",
      returns: false,
      statement: "delete from orders",
    });
    expect(sentStatement(plan, 100).text).toBe("delete from orders");
  });
});

describe("a row", () => {
  test.each([
    ['{"a":1,"b":-1.5,"c":true}', { a: 1, b: -1.5, c: true }],
    ['{"a":9007199254740991,"b":9007199254740992}', { a: 9007199254740991, b: "9007199254740992" }],
    ['{"a":1.10,"b":1e+300,"c":-0,"d":0.1}', { a: "1.10", b: "1e+300", c: "-0", d: 0.1 }],
    ['{"a":"1.10 \\" 2.20","1.10":"x\\\\"}', { a: '1.10 " 2.20', "1.10": "x\\" }],
    ['{"a":[1.0,{"b":12345678901234567890}]}', { a: ["1.0", { b: "12345678901234567890" }] }],
  ])("%s", (text, value) => expect(readRow(text)).toEqual(value));

  test("with two members of one name is refused, and so is one that is too deep", () => {
    expect(() => readRow('{"a":1,"a":2}')).toThrow(expect.objectContaining({ code: "duplicate_column" }));
    const deep = `{"a":${"[".repeat(40)}${"]".repeat(40)}}`;
    expect(() => readRow(deep)).toThrow(expect.objectContaining({ code: "malformed_response" }));
  });
});
