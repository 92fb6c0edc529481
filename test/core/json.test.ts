import { expect, test } from "bun:test";
import fc from "fast-check";
import { isJsonObject, type Json, JsonError, type JsonFault, parseJson } from "../../src/core/json.ts";

function fault(
  input: string | Uint8Array,
  limits = { bytes: 4096, depth: 8 },
): [JsonFault, string] | "accepted" {
  try {
    parseJson(input, limits);
    return "accepted";
  } catch (thrown) {
    if (thrown instanceof JsonError) return [thrown.fault, thrown.message];
    throw thrown;
  }
}

test.each([
  ["null", null],
  [" true ", true],
  ["-0", 0],
  ["-0.0", 0],
  ["1e3", 1000],
  ["9007199254740991", 9007199254740991],
  ["-9007199254740991", -9007199254740991],
  ["0.1", 0.1],
  ["1e-400", 0],
  ['"\\u00e9\\n\\/\\""', 'é\n/"'],
  ['"\\ud83d\\ude00"', "\u{1f600}"],
  ['"\u{1f600}"', "\u{1f600}"],
  ["[]", []],
  ["{}", {}],
  ['{"a":[1,{"b":null}]}', { a: [1, { b: null }] }],
  ['\t\r\n {"a" : 1 , "b" : [ ] }\n', { a: 1, b: [] }],
  ['{"constructor":1,"toString":2}', { constructor: 1, toString: 2 }],
] as [string, Json][])("reads %j", (text, value) => {
  expect(parseJson(text)).toEqual(value);
  expect(Object.is(parseJson("-0"), 0)).toBe(true);
});

test.each([
  ["", "syntax", "unexpected text"],
  ["nul", "syntax", "unexpected text"],
  ["01", "syntax", "unexpected text after the value"],
  ["1.", "syntax", "unexpected text after the value"],
  ["+1", "syntax", "unexpected text"],
  [".5", "syntax", "unexpected text"],
  ["NaN", "syntax", "unexpected text"],
  ["'a'", "syntax", "unexpected text"],
  ["[1,]", "syntax", "unexpected text"],
  ["[1 2]", "syntax", "expected a comma or a closing bracket"],
  ['{"a":1,}', "syntax", "expected a member name"],
  ["{a:1}", "syntax", "expected a member name"],
  ['{"a" 1}', "syntax", "expected a colon"],
  ['{"a":1 "b":2}', "syntax", "expected a comma or a closing brace"],
  ["{} {}", "syntax", "unexpected text after the value"],
  ["// c\n1", "syntax", "unexpected text"],
  ['"a\nb"', "syntax", "control character or end of text in a string"],
  ['"open', "syntax", "control character or end of text in a string"],
  ['"\\x41"', "syntax", "bad escape"],
  ['"\\u12g4"', "syntax", "bad escape"],
  ["\ufeff1", "syntax", "unexpected text"],
  ["1e400", "number_out_of_range", "number out of range"],
  ["9007199254740992", "unsafe_integer", "integer beyond 2^53 - 1; send it as a string"],
  ["-9007199254740993", "unsafe_integer", "integer beyond 2^53 - 1; send it as a string"],
  ["1e30", "unsafe_integer", "integer beyond 2^53 - 1; send it as a string"],
  ["9007199254740993.0", "unsafe_integer", "integer beyond 2^53 - 1; send it as a string"],
  ['{"a":1,"a":1}', "duplicate_member", "duplicate member"],
  ['{"a":1,"\\u0061":2}', "duplicate_member", "duplicate member"],
  ['{"__proto__":{}}', "forbidden_member", "member name not allowed"],
  ['{"\\u005f_proto__":{}}', "forbidden_member", "member name not allowed"],
  ['"\\ud800"', "lone_surrogate", "lone surrogate"],
  ['"\\udc00"', "lone_surrogate", "lone surrogate"],
  ['"\\ud800\\u0041"', "lone_surrogate", "lone surrogate"],
  ['"\ud800"', "lone_surrogate", "lone surrogate"],
  ['{"\\ud800":1}', "lone_surrogate", "lone surrogate"],
  ["[[[[[[[[[]]]]]]]]]", "too_deep", "nested deeper than 8"],
  [`"${"a".repeat(4096)}"`, "too_large", "longer than 4096 bytes"],
] as [string, JsonFault, string][])("refuses %j as %s", (text, code, message) => {
  expect(fault(text)).toEqual([code, message]);
});

test("bytes that are not utf-8 are refused: overlong forms, surrogates, cut sequences", () => {
  for (const bytes of [
    [0x22, 0xc0, 0xaf, 0x22],
    [0x22, 0xed, 0xa0, 0x80, 0x22],
    [0x22, 0xe2, 0x82, 0x22],
    [0xff],
  ])
    expect(fault(Uint8Array.from(bytes))).toEqual(["not_utf8", "not valid utf-8"]);
});

test("limits are exact", () => {
  expect(fault('"aa"', { bytes: 4, depth: 0 })).toBe("accepted");
  expect(fault('"aaa"', { bytes: 4, depth: 0 })).toEqual(["too_large", "longer than 4 bytes"]);
  expect(fault('"é"', { bytes: 3, depth: 0 })).toEqual(["too_large", "longer than 3 bytes"]);
  expect(fault("[[1]]", { bytes: 99, depth: 2 })).toBe("accepted");
  expect(fault('{"a":[1]}', { bytes: 99, depth: 1 })).toEqual(["too_deep", "nested deeper than 1"]);
  const items = { bytes: 99, depth: 2, items: 2 };
  expect(fault("[1,2]", items)).toBe("accepted");
  expect(fault("[1,2,3]", items)).toEqual(["array_too_long", "array longer than 2"]);
});

test("the result is plain data: no member comes from a prototype", () => {
  const value = parseJson("{}");
  expect(isJsonObject(value) && Object.hasOwn(value, "toString")).toBe(false);
  expect(isJsonObject([])).toBe(false);
  expect(isJsonObject(null)).toBe(false);
});

test("property: whatever JSON.stringify writes is read as JSON.parse reads it", () => {
  const sound = fc
    .jsonValue({ maxDepth: 6 })
    .filter((value) => !JSON.stringify(value).includes("__proto__") && parsable(JSON.stringify(value)));
  fc.assert(
    fc.property(sound, (value) => {
      const text = JSON.stringify(value);
      expect(parseJson(text)).toEqual(JSON.parse(text.replaceAll(/-0(?![.\d])/g, "0")));
    }),
    { seed: 1 },
  );
});

function parsable(text: string): boolean {
  const outcome = fault(text, { bytes: 1 << 20, depth: 32 });
  return outcome === "accepted" || !["unsafe_integer", "lone_surrogate"].includes(outcome[0]);
}

test("property: what is accepted means the same to JSON.parse; what JSON.parse refuses is refused", () => {
  const noise = fc.string({
    unit: fc.constantFrom(...'{}[]",:\\u0019 eE+-.truefalsn\ud83d\ude00'.split("")),
  });
  fc.assert(
    fc.property(noise, (text) => {
      let native: unknown;
      try {
        native = JSON.parse(text);
      } catch {
        expect(fault(text, { bytes: 1 << 20, depth: 64 })).not.toBe("accepted");
        return;
      }
      if (fault(text) === "accepted") expect(JSON.stringify(parseJson(text))).toBe(JSON.stringify(native));
    }),
    { seed: 1, numRuns: 2000 },
  );
});
