import { expect, test } from "bun:test";
import fc from "fast-check";
import { bodyKind, renderBody } from "../../src/actions/body-template.ts";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import type { Json, JsonObject } from "../../src/core/json.ts";

type Body = Parameters<typeof renderBody>[0];

function rendered(body: Body, params: JsonObject): string | null {
  const bytes = renderBody(body, params);
  return bytes === null ? null : Buffer.from(bytes).toString("utf8");
}

test.each([
  [
    { json: { title: { $param: "a" } } },
    { a: 'x","admin":true,"y":"' },
    '{"title":"x\\",\\"admin\\":true,\\"y\\":\\""}',
  ],
  [{ json: { n: { $param: "a" } } }, { a: "42" }, '{"n":"42"}'],
  [{ json: { n: { $param: "a" } } }, { a: '{"$param":"b"}', b: 1 }, '{"n":"{\\"$param\\":\\"b\\"}"}'],
  [{ json: { n: { $param: "a" } } }, { a: { $param: "b" }, b: 1 }, '{"n":{"$param":"b"}}'],
  [{ json: { keep: 1, drop: { $param: "a" } } }, {}, '{"keep":1}'],
  [{ json: [{ $param: "a" }, 2] }, {}, "[2]"],
  [{ json: { $param: "a" } }, { a: [1, { z: 1, b: 2 }] }, '[1,{"b":2,"z":1}]'],
  [{ json: { $param: "a" } }, { a: null }, "null"],
  [{ json: { $param: "a" } }, {}, null],
  [{ json: null }, {}, "null"],
  [{ json: { "a{b}": "{c}" } }, { c: 1 }, '{"a{b}":"{c}"}'],
  [
    { form: { z: { $param: "a" }, b: "x y", c: 1, d: false } },
    { a: "1&b=2" },
    "b=x+y&c=1&d=false&z=1%26b%3D2",
  ],
  [{ form: { a: { $param: "a" }, b: 1 } }, {}, "b=1"],
  [{ text: { $param: "a" } }, { a: "é" }, "é"],
  [{ text: "fixed {a}" }, { a: "x" }, "fixed {a}"],
  [{ text: { $param: "a" } }, {}, null],
  [{ bytes: { $param: "a" } }, { a: "aGk=" }, "hi"],
  [{ bytes: { $param: "a" } }, { a: "aGk" }, null],
] as [Body, JsonObject, string | null][])("%j with %j is %j", (body, params, text) => {
  expect(rendered(body, params)).toBe(text);
});

test("a name that objects inherit is not found", () => {
  expect(rendered({ json: { a: { $param: "constructor" } } }, {})).toBe("{}");
});

test("the kind says the content type", () => {
  expect([{ json: 1 }, { form: {} }, { text: "" }, { bytes: { $param: "a" } }].map(bodyKind)).toEqual([
    "json",
    "form",
    "text",
    "bytes",
  ]);
});

test("property: whatever the values, the structure of a json body stays", () => {
  const values = fc.jsonValue({ maxDepth: 3 }).map((value) => value as Json); // fast-check makes JSON values
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), values, (text, value) => {
      const body: Body = {
        json: { a: { $param: "text" }, list: [{ $param: "value" }], fixed: { $param: "gone" } },
      };
      expect(rendered(body, { text, value })).toBe(canonicalJson({ a: text, list: [value] }));
    }),
    { seed: 1 },
  );
});

test("property: whatever the values, a form keeps its fields", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.array(fc.string({ unit: "grapheme" })), (a, list) => {
      const text = rendered({ form: { a: { $param: "a" }, b: { $param: "list" } } }, { a, list });
      expect([...new URLSearchParams(text ?? "")]).toEqual([
        ["a", a],
        ...list.map((item): [string, string] => ["b", item]),
      ]);
    }),
    { seed: 1 },
  );
});
