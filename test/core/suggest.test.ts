import { expect, test } from "bun:test";
import { didYouMean } from "../../src/core/suggest.ts";

const known = ["risk", "response", "required_scopes", "tags"];

test.each([
  ["rsik", "risk"],
  ["Risk", "risk"],
  ["respones", "response"],
  ["requiredscopes", "required_scopes"],
  ["tag", "tags"],
  ["banana", undefined],
  ["", undefined],
] as [string, string | undefined][])("%j is nearest to %j", (typed, near) => {
  expect(didYouMean(typed, known)).toBe(near);
});

test("nothing is near an empty list, and a long name stays cheap", () => {
  expect(didYouMean("risk", [])).toBeUndefined();
  expect(didYouMean("x".repeat(1_000_000), known)).toBeUndefined();
});
