import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { fields, jsonText, safe, table } from "../../src/commands/output.ts";
import type { Json } from "../../src/core/json.ts";

const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/;

describe("text that an agent may have chosen", () => {
  test("cannot move, clear, hide or reverse anything on a terminal", () => {
    expect(safe("a\u001b[2J\u009b1A\u202eb\rc\nd")).toBe("a\\u001b[2J\\u009b1A\\u202eb\\u000dc\\u000ad");
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(safe(text)).not.toMatch(CONTROLS);
      }),
      { seed: 1 },
    );
  });

  test("stays the same value in json", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.boolean(), (value, pretty) => {
        const text = jsonText(value as Json, pretty);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
        expect(text.replaceAll("\n", "")).not.toMatch(CONTROLS);
      }),
      { seed: 1 },
    );
  });

  test("cannot break out of its cell or its line", () => {
    const lines = table(
      ["A", "B"],
      [
        ["x\ny", "1"],
        ["\u65e5\u672c", "2"],
      ],
      false,
    ).split("\n");
    expect(lines).toEqual(["A         B", "x\\u000ay  1", "\u65e5\u672c      2"]);
    expect(
      fields([
        ["name", "a\nstatus: ok"],
        ["none", null],
        ["list", [1]],
      ]),
    ).toBe("name: a\\u000astatus: ok\nlist: [1]");
  });
});
