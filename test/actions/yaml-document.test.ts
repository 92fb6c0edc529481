import { expect, test } from "bun:test";
import { LONGEST_MANIFEST, readYaml } from "../../src/actions/yaml-document.ts";

function problems(text: string): string[] {
  const document = readYaml(text);
  return document.ok ? [] : document.problems.map(({ line, message }) => `${line ?? "-"} ${message}`);
}

test("scalars are those of the core schema: no, on and dates stay text", () => {
  const document = readYaml("a: no\nb: on\nc: 2020-01-01\nd: 0x10\ne: 1_000\nf: ~\n1: one\n");
  expect(document.ok && document.value).toEqual({
    a: "no",
    b: "on",
    c: "2020-01-01",
    d: 16,
    e: "1_000",
    f: null,
    "1": "one",
  });
});

test.each([
  ["a: 1\nb: 2\na: 3\n", "3 duplicate key"],
  ["a: {b: 1, b: 2}\n", "1 duplicate key"],
  ["a: &x 1\nb: *x\n", "1 anchors are not allowed"],
  ["a: &x 1\n", "1 anchors are not allowed"],
  ["a: &x [1]\n", "1 anchors are not allowed"],
  ["a: !!str 1\n", "1 tags are not allowed"],
  ["a: !secret x\n", "1 unresolved tag: !secret"],
  ["a: !!binary aGk=\n", "1 unresolved tag: tag:yaml.org,2002:binary"],
  ["%YAML 1.1\n---\na: 1\n", "- yaml directives are not allowed"],
  ["a: 1\n---\nb: 2\n", "2 only one yaml document per file"],
  ["a: 9007199254740993\n", "1 integer beyond 2^53 - 1; quote it"],
  ["a: .inf\n", "1 number is not finite"],
  ["a: .nan\n", "1 number is not finite"],
  ["a: 1e999\n", "1 number is not finite"],
  ["a: '__proto__'\n", "1 the name __proto__ is not allowed"],
  ["a:\n  __proto__: {}\n", "2 the name __proto__ is not allowed"],
  ['a: "\\ud800"\n', "1 lone surrogate in a string"],
  ["- 1\n", "1 must be a mapping of keys to values"],
  ["", "1 must be a mapping of keys to values"],
  [`a: ${"[".repeat(33)}${"]".repeat(33)}\n`, "1 nested deeper than 32"],
  [`a: ${"x".repeat(LONGEST_MANIFEST)}`, `- longer than ${LONGEST_MANIFEST} bytes`],
])("%j is refused", (text, problem) => {
  expect(problems(text)[0]).toBe(problem);
});

test("a merge key is an ordinary key", () => {
  const document = readYaml("'<<': {a: 1}\n");
  expect(document.ok && document.value).toEqual({ "<<": { a: 1 } });
});

test("an alias bomb is refused without being built", () => {
  const levels = Array.from({ length: 20 }, (_, i) => `l${i + 1}: &l${i + 1} [${`*l${i},`.repeat(9)}*l${i}]`);
  expect(problems(`l0: &l0 x\n${levels.join("\n")}\n`)).toContain(
    "2 aliases are not allowed; repeat the value",
  );
});

test("a hundred thousand open brackets are refused, not overflowed", () => {
  expect(problems(`a: ${"[".repeat(100_000)}`).length).toBeGreaterThan(0);
});

test("every problem is reported", () => {
  expect(problems("a: 1\na: 2\nb: 1\nb: 2\n")).toEqual(["2 duplicate key", "4 duplicate key"]);
});

test("lines are those of the nearest written member", () => {
  const document = readYaml("a: 1\nb:\n  c:\n    - x\n    - d: 1\n");
  if (!document.ok) throw new Error("refused");
  expect(document.line(["b", "c", 1, "d"])).toBe(5);
  expect(document.line(["b", "c", 0])).toBe(4);
  expect(document.line(["b", "missing"])).toBe(2);
  expect(document.line(["missing"])).toBe(1);
});
