import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { sha256Hex, utf8 } from "../../src/core/bytes.ts";
import { canonicalJson, isCanonicalJson } from "../../src/core/canonical-json.ts";
import type { Json } from "../../src/core/json.ts";
import { parseJson } from "../../src/core/json.ts";

const vectors = join(import.meta.dir, "..", "vectors", "jcs");
const read = (...path: string[]) => readFileSync(join(vectors, ...path), "utf8");

interface Golden {
  description: string;
  input: Json;
  canonical: string;
  canonical_hex?: string;
  sha256: string;
}

test.each(readdirSync(join(vectors, "input")))("rfc 8785 vector %s, byte for byte", (name) => {
  // JSON.parse, as the vectors hold numbers such as 1E30 that our own reader refuses on purpose.
  expect(canonicalJson(JSON.parse(read("input", name)))).toBe(read("output", name));
});

const golden: Golden[] = JSON.parse(read("golden.json"));

test("the golden file holds its eight cases", () => {
  expect(golden.length).toBeGreaterThanOrEqual(8);
});

test.each(golden.map((one) => [one.description, one] as const))("golden vector: %s", (_name, one) => {
  const text = canonicalJson(parseJson(JSON.stringify(one.input)));
  expect(text).toBe(one.canonical);
  if (one.canonical_hex !== undefined)
    expect(Buffer.from(utf8(text)).toString("hex")).toBe(one.canonical_hex);
  expect(`sha256:${sha256Hex(text)}`).toBe(one.sha256);
});

test("members are sorted by utf-16 code units, not by code points (rfc 8785 §3.2.3)", () => {
  expect(canonicalJson({ "\u{1f600}": 1, "\ufb33": 2, a: 3, "": 4 })).toBe(
    '{"":4,"a":3,"\u{1f600}":1,"\ufb33":2}',
  );
});

test("an undefined member is left out, an undefined item is refused", () => {
  const holey = { a: undefined, b: 1 } as unknown as Json; // what a caller in plain JavaScript could pass
  expect(canonicalJson(holey)).toBe('{"b":1}');
  expect(() => canonicalJson([undefined] as unknown as Json)).toThrow("not a json value: undefined"); // as above
});

test.each([[Number.NaN], [Number.POSITIVE_INFINITY]])("%p is refused", (value) => {
  expect(() => canonicalJson(value)).toThrow("number is not finite");
});

test("lone surrogates are refused in values and in names", () => {
  expect(() => canonicalJson("\ud800")).toThrow("lone surrogate");
  expect(() => canonicalJson({ "\udc00": 1 })).toThrow("lone surrogate");
});

test("property: reading a canonical text and writing it again changes nothing, whatever the member order", () => {
  const json = fc.jsonValue().map((value) => value as Json); // fast-check makes JSON values
  fc.assert(
    fc.property(json, (value) => {
      const text = canonicalJson(value);
      expect(canonicalJson(JSON.parse(text))).toBe(text);
      expect(canonicalJson(reversed(value))).toBe(text);
    }),
    { seed: 1 },
  );
});

test("property: a text is canonical exactly when writing its value gives the same text", () => {
  const spaced = fc.constantFrom(undefined, 1);
  fc.assert(
    fc.property(fc.jsonValue(), fc.boolean(), spaced, (value, back, space) => {
      const json = value as Json; // fast-check makes JSON values
      const text = JSON.stringify(back ? reversed(json) : json, null, space);
      const read = JSON.parse(text) as Json;
      expect(isCanonicalJson(read, text)).toBe(canonicalJson(read) === text);
      expect(isCanonicalJson(read, canonicalJson(read))).toBe(true);
    }),
    { seed: 1, numRuns: 1000 },
  );
});

test.each([
  ["members out of order", '{"b":1,"a":2}'],
  ["members out of order further in", '{"a":[{"d":1,"c":2}]}'],
  ["a member given twice", '{"a":1,"a":1}'],
  ["a blank", '{"a": 1}'],
  ["another spelling of a number", '{"a":1.0}'],
  ["a needless escape", '{"a":"\\u0062"}'],
  ["minus zero", "[-0]"],
])("not canonical: %s", (_what, text) => {
  expect(isCanonicalJson(JSON.parse(text), text)).toBe(false);
});

test("names that look like numbers are in order as texts", () => {
  const text = '{"10":1,"9":2}';
  expect(isCanonicalJson(JSON.parse(text), text)).toBe(true);
});

test.each(['{"a":"\\ud800"}', '{"\\udc00":1}'])(
  "lone surrogates are refused, however they are escaped: %s",
  (text) => {
    expect(() => isCanonicalJson(JSON.parse(text), text)).toThrow("lone surrogate");
  },
);

function reversed(value: Json): Json {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, inner]) => [name, reversed(inner)]),
  );
}
