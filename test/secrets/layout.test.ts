import { expect, test } from "bun:test";
import { secretsIn } from "../../src/secrets/layout.ts";
import { formatOf } from "../../src/secrets/sops/format.ts";
import { leaves } from "../../src/secrets/sops/walk.ts";

const read = (text: string) => formatOf("x.yaml").read(text).documents;
const names = (text: string, rule = () => true) =>
  secretsIn(read(text)[0], rule).map(({ tenant, principal, name }) => [tenant, principal, name]);

test.each([
  ["A: x", [[null, null, "A"]]],
  ["tenants: {t: {A: x}}", [["t", null, "A"]]],
  ["tenants: {t: {principals: {'uid:1': {A: x}}}}", [["t", "uid:1", "A"]]],
  ["A: [x]", []],
  ["tenants: {t: {A: [x]}}", []],
  ["tenants: [{t: {A: x}}]", []],
  ["A: 5", []],
  ["A: ''", []],
  ["a: x", []],
  ["A: {B: x}", []],
  ["tenants: {t: {x: {A: x}}}", []],
  ["tenants: {t: {principals: {A: x}}}", []],
  ["tenants: {A: x}", []],
  ["others: {t: {A: x}}", []],
  ["B: {t: {A: x}}", []],
])("%s holds %j", (text, expected) => expect(names(text)).toEqual(expected as never));

test("what the rule leaves unencrypted is no secret", () => expect(names("A: x", () => false)).toEqual([]));

test.each(["tenants: {'a:b': {A: x}}", "tenants: {'': {A: x}}"])("%s is refused", (text) =>
  expect(() => names(text)).toThrow("a tenant's name"),
);

test("values come in document order, with the comments before them and before what is around them", () => {
  const text = "# one\nA: x\n# two\nB:\n    # three\n    C: [y, z]\nD: null\n---\nE: w\n";
  const seen: [string, readonly string[]][] = [];
  for (const { scalar } of leaves(read(text), (path, comments) => {
    seen.push([path.join("."), comments]);
    return true;
  }))
    expect(scalar.type).toBe("str");
  expect(seen).toEqual([
    ["A", [" one"]],
    ["B.C", [" two", " three"]],
    ["B.C", [" two", " three"]],
    ["E", []],
  ]);
});
