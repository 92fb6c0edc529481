/** What is taken for an entry by its text alone is one: its members parse, fit, and stand in canonical form. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import type { Json } from "../../src/core/json.ts";
import { isFault, readPayload } from "../../src/ledger/entry/entry.ts";
import { LEFT_OUT } from "../../src/ledger/entry/followed.ts";
import { isPlain, isText, readPlain } from "../../src/ledger/entry/plain-entry.ts";
import { closed, integer, list, memberForms, type Shape, shaped } from "../../src/ledger/entry/schema.ts";
import { PAYLOADS } from "../../src/ledger/entry/types.ts";

const RUNS = 50;
const PLAIN_TEXT = "abcXYZ 0189:/-_.{}[],'~!";

/** Values that fit a shape, of plain texts and small numbers alone or of all that there are. */
function fitting(shape: Shape, plain: boolean): fc.Arbitrary<unknown> {
  if ("const" in shape) return fc.constant(shape.const);
  if (Array.isArray(shape.enum)) return fc.constantFrom(...(shape.enum as unknown[]));
  if (Array.isArray(shape.anyOf))
    return fc.oneof(...(shape.anyOf as Shape[]).map((one) => fitting(one, plain)));
  switch (shape.type) {
    case "null":
      return fc.constant(null);
    case "boolean":
      return fc.boolean();
    case "integer":
      return fc.nat({ max: plain ? 999_999_999_999_999 : Number.MAX_SAFE_INTEGER });
    case "string": {
      if (typeof shape.pattern === "string") return fc.stringMatching(new RegExp(shape.pattern));
      const size = { maxLength: Math.min(Number(shape.maxLength), 40), size: "max" } as const;
      return plain
        ? fc.string({ ...size, unit: fc.constantFrom(...PLAIN_TEXT) })
        : fc.string({ ...size, unit: "binary-ascii" });
    }
    case "array":
      return fc.array(fitting(shape.items as Shape, plain), { maxLength: 3 });
    default: {
      const members = Object.entries(shape.properties as Record<string, Shape>);
      return fc.record(Object.fromEntries(members.map(([name, one]) => [name, fitting(one, plain)])));
    }
  }
}

const PUT = [
  "",
  " ",
  "0",
  "-",
  ".0",
  "e0",
  '"',
  "\\",
  "\\u0061",
  ",",
  "null",
  "}",
  "é",
  "\u007f",
  "\n",
  "[]",
];

/** Small changes of a text, as somebody would make who wants another text for the same value, or another value. */
const CHANGES = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 2 }), fc.constantFrom(...PUT)), {
  minLength: 10,
  maxLength: 10,
});

const TYPES = [...PAYLOADS].map(([type, schema]) => ({ type, schema }));

function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

/** By parsing, the whole schema, and the canonical form written anew. */
function isEntry(type: string, text: string): boolean {
  const value = parsed(text);
  return value !== undefined && PAYLOADS.get(type)?.(value, "") === null && canonicalJson(value) === text;
}

describe.each(TYPES)("$type", ({ type, schema }) => {
  test("is known by its text, unless that has escapes or is not ascii", () => {
    fc.assert(
      fc.property(fitting(schema.shape ?? {}, true), (value) => {
        const text = canonicalJson(value as Json);
        expect(isEntry(type, text)).toBe(true);
        expect(isPlain(type, text)).toBe(true);
        for (const other of ["gate.stopped", "log.opened", "nothing"])
          expect(other !== type && isPlain(other, text)).toBe(false);
      }),
      { numRuns: RUNS, seed: 7 },
    );
  });

  test("is never taken from a text that is none", () => {
    const values = fc.oneof(fitting(schema.shape ?? {}, true), fitting(schema.shape ?? {}, false));
    fc.assert(
      fc.property(values, CHANGES, (value, changes) => {
        const text = canonicalJson(value as Json);
        const changed = changes.map(([n, cut, put]) => {
          const at = n % (text.length + 1);
          return text.slice(0, at) + put + text.slice(at + cut);
        });
        expect([text, ...changed].filter((one) => isPlain(type, one) && !isEntry(type, one))).toEqual([]);
      }),
      { numRuns: RUNS, seed: 8 },
    );
  });

  test("is never taken from members in another order, twice, or missing", () => {
    fc.assert(
      fc.property(fitting(schema.shape ?? {}, true), fc.nat(), (value, n) => {
        const members = Object.entries(value as Record<string, Json>)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`);
        const i = n % members.length;
        const one = members[i] ?? "";
        for (const other of [
          members.toSpliced(i, 1),
          members.toSpliced(i, 0, one),
          [...members.toSpliced(i, 1), one],
          [one, ...members.toSpliced(i, 1)],
          [...members, '"zz":1'],
        ]) {
          const text = `{${other.join(",")}}`;
          expect(isPlain(type, text)).toBe(isEntry(type, text));
        }
      }),
      { numRuns: RUNS, seed: 9 },
    );
  });

  test("says its members as they are, and what is followed of it", () => {
    fc.assert(
      fc.property(fitting(schema.shape ?? {}, true), (value) => {
        const body = { ...(value as Record<string, Json>), time: "2026-02-28T23:59:59.999Z" };
        const plain = readPlain(type, canonicalJson(body));
        expect(plain?.time).toBe(Date.parse(body.time));
        for (const [name, text] of Object.entries(plain?.members ?? {})) {
          const member = (body as Record<string, Json | undefined>)[name];
          expect(text).toBe(member === undefined ? undefined : canonicalJson(member));
        }
        const leftOut: readonly string[] =
          (LEFT_OUT as Readonly<Record<string, readonly string[]>>)[type] ?? [];
        const rest = Object.entries(body).filter(([name]) => !leftOut.includes(name));
        expect(plain?.followed).toBe(canonicalJson(Object.fromEntries(rest)));
        const impossible = canonicalJson({ ...body, time: "2026-02-29T00:00:00.000Z" });
        expect(readPlain(type, impossible)).toBeNull();
        expect(isFault(readPayload(impossible))).toBe(true);
      }),
      { numRuns: RUNS, seed: 10 },
    );
  });
});

test("a list may be as long as it may be, and no longer", () => {
  const form = closed({ list: list(integer, 1024) }).form ?? "";
  const regex = new RegExp(`^${form}$`);
  const ofLength = (length: number) => JSON.stringify({ list: Array<number>(length).fill(7) });
  expect([0, 1, 1023, 1024, 1025].map((length) => regex.test(ofLength(length)))).toEqual([
    true,
    true,
    true,
    true,
    false,
  ]);
});

test("a text of the longest length, and one that is longer", () => {
  const stopped = (reason: string) =>
    canonicalJson({
      id: "018bcfe5-6800-7000-8000-000000000000",
      log: "018bcfe5-6800-7000-8000-000000000000",
      prev: null,
      reason,
      seq: 0,
      time: "2026-11-23T00:00:00.000Z",
      type: "gate.stopped",
      v: 1,
    });
  expect(isPlain("gate.stopped", stopped("x".repeat(256)))).toBe(true);
  expect(isPlain("gate.stopped", stopped("x".repeat(257)))).toBe(false);
});

test("an object whose schema does not say its form is never known by its text", () => {
  const any = shaped<object>({}, () => null, null);
  expect(memberForms({ any })).toBeNull();
  expect(closed({ any }).form).toBeNull();
});

/** All patterns in a shape. */
function patternsOf(shape: unknown): string[] {
  if (typeof shape !== "object" || shape === null) return [];
  const own = (shape as Shape).pattern;
  return [...(typeof own === "string" ? [own] : []), ...Object.values(shape).flatMap(patternsOf)];
}

test("no pattern lets in what json escapes, nor what is not ascii", () => {
  const patterns = new Set(TYPES.flatMap(({ schema }) => patternsOf(schema.shape)));
  expect(patterns.size).toBeGreaterThan(5);
  for (const pattern of patterns) {
    expect(pattern).toMatch(/^\^.*\$$/);
    const regex = new RegExp(pattern);
    const [sample = ""] = fc.sample(fc.stringMatching(regex), { numRuns: 1, seed: 1 });
    expect(regex.test(sample)).toBe(true);
    for (let i = 0; i <= sample.length; i++)
      for (const foreign of ['"', "\\", "\n", "é", "\u007f"]) {
        expect(regex.test(sample.slice(0, i) + foreign + sample.slice(i + 1))).toBe(false);
        expect(regex.test(sample.slice(0, i) + foreign + sample.slice(i))).toBe(false);
      }
  }
});

test("a column is what a member's text says", () => {
  for (const [text, column, same] of [
    ['"a"', "a", true],
    ['"a"', "b", false],
    ['"a"', '"a"', false],
    ['"a"', "ab", false],
    ['"ab"', "a", false],
    ['""', "", true],
    ['""', null, false],
    ["null", null, true],
    ["null", "null", false],
    [undefined, null, true],
    [undefined, "", false],
    ["7", 7, false],
    ['"7"', 7, false],
  ] as const)
    expect(isText(text, column)).toBe(same);
});
