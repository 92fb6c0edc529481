/** What a schema calls canonical has its members in order, at every depth. */
import { expect, test } from "bun:test";
import { closed, either, integer, list, nullable, shaped, text } from "../../src/ledger/entry/schema.ts";

const inner = closed({ b: integer, a: text() });
const other = closed({ d: integer, c: integer });
const schema = closed({
  one: inner,
  list: list(inner),
  maybe: nullable(inner),
  either: either(other, inner),
});
const good = { a: "", b: 1 };
const bad = { b: 1, a: "" };
const value = { either: good, list: [good, good], maybe: null, one: good };

test("members in order at every depth", () => {
  expect(schema.canonical?.(value)).toBe(true);
  expect(schema.canonical?.({ ...value, either: { c: 1, d: 1 }, maybe: good })).toBe(true);
});

test.each([
  { ...value, one: bad },
  { ...value, list: [good, bad] },
  { ...value, maybe: bad },
  { ...value, either: bad },
  { ...value, either: { d: 1, c: 1 } },
  { list: [], either: good, maybe: null, one: good },
])("out of order, though it fits: %j", (changed) => {
  expect(schema(changed, "")).toBeNull();
  expect(schema.canonical?.(changed)).toBe(false);
});

test.each([
  { ...value, zero: 1 },
  { either: good, list: [], maybe: null },
  { ...value, list: null },
  { ...value, one: { a: "", b: -1 } },
  null,
])("what does not fit: %j", (changed) => {
  expect(schema(changed, "")).not.toBeNull();
  expect(schema.canonical?.(changed)).toBe(false);
});

test("a check of objects that does not tell of their order is never taken for one that does", () => {
  const any = shaped<object>({}, (object) => (typeof object === "object" ? null : "not an object"));
  expect(closed({ any }).canonical?.({ any: good })).toBe(false);
});
