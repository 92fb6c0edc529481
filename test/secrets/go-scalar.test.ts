import { expect, test } from "bun:test";
import { goFloat, resolvePlain } from "../../src/secrets/sops/go-scalar.ts";

test.each([
  ["017", "int", "15"],
  ["0o17", "int", "15"],
  ["08", "float", "8"],
  ["1_000", "int", "1000"],
  ["0b11", "int", "3"],
  ["-0b11", "int", "-3"],
  ["0x1F", "int", "31"],
  ["+7", "int", "7"],
  ["-0", "int", "0"],
  ["9223372036854775807", "int", "9223372036854775807"],
  ["-9223372036854775808", "int", "-9223372036854775808"],
  ["99999999999999999999", "float", "100000000000000000000"],
  ["1.50", "float", "1.5"],
  ["1e3", "float", "1000"],
  [".5", "float", "0.5"],
  ["-.inf", "float", "-Inf"],
  ["1e999", "str", "1e999"],
  ["true", "bool", "True"],
  ["FALSE", "bool", "False"],
  ["yes", "str", "yes"],
  ["on", "str", "on"],
  ["~", "null", ""],
  ["", "null", ""],
  ["2001-02-03", "time", "2001-02-03T00:00:00Z"],
  ["2001-2-3", "time", "2001-02-03T00:00:00Z"],
  ["2001-12-14t21:59:43.10-05:00", "time", "2001-12-14T21:59:43.1-05:00"],
  ["2001-12-14 21:59:43", "time", "2001-12-14T21:59:43Z"],
  ["2001-02-29", "str", "2001-02-29"],
  ["2000-02-29", "time", "2000-02-29T00:00:00Z"],
  ["2001-13-01", "str", "2001-13-01"],
  ["12:30:45", "str", "12:30:45"],
  ["1.2.3", "str", "1.2.3"],
  [".", "str", "."],
  ["-", "str", "-"],
] as const)("go-yaml takes %s for a %s", (text, type, inMac) =>
  expect(resolvePlain(text)).toEqual({ type, text: inMac }),
);

test.each(["18446744073709551615", ".1_0", "._5"])("%s is left to nobody's guess", (text) =>
  expect(resolvePlain(text)).toBeNull(),
);

test.each([
  [0, "0"],
  [-0, "-0"],
  [1e21, "1000000000000000000000"],
  [1.5e-7, "0.00000015"],
  [123.456, "123.456"],
  [5e-324, `0.${"0".repeat(323)}5`],
])("a float of %p enters the MAC as %s", (value, text) => expect(goFloat(value)).toBe(text));
