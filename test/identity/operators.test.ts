import { describe, expect, test } from "bun:test";
import { sha256Hex } from "../../src/core/bytes.ts";
import { type OperatorConfig, OperatorDirectory } from "../../src/identity/index.ts";
import { newKey } from "./fixtures.ts";

const [one, two] = [newKey().jkt, newKey().jkt];

test("a token of its own replaces the id", () => {
  const directory = new OperatorDirectory([
    { id: "alice", thumbprint: one, token_sha256: sha256Hex("secret") },
    { id: "bob", thumbprint: two, principals: ["uid:1000"], tenant: "red" },
  ]);
  expect(directory.byToken("secret")?.id).toBe("alice");
  expect(directory.byToken("alice")).toBeNull();
  expect(directory.byToken(sha256Hex("secret"))).toBeNull();
  expect(directory.byToken("bob")).toEqual({
    id: "bob",
    thumbprint: two,
    principals: ["uid:1000"],
    tenant: "red",
  });
  expect(directory.byToken("")).toBeNull();
  expect(directory.list().map(({ id, tenant }) => [id, tenant])).toEqual([
    ["alice", null],
    ["bob", "red"],
  ]);
});

test("an operator's key is known as such", () => {
  const directory = new OperatorDirectory([{ id: "alice", thumbprint: one }]);
  expect(directory.isOperatorKey(one)).toBe(true);
  expect(directory.isOperatorKey(two)).toBe(false);
});

describe("configuration that is refused", () => {
  const alice: OperatorConfig = { id: "alice", thumbprint: one };
  test.each<[string, OperatorConfig[], string]>([
    ["one id twice", [alice, { id: "alice", thumbprint: two }], "is named twice"],
    ["one key for two", [alice, { id: "bob", thumbprint: one }], "has the key of another operator"],
    [
      "one token for two",
      [
        { ...alice, token_sha256: sha256Hex("t") },
        { id: "bob", thumbprint: two, token_sha256: sha256Hex("t") },
      ],
      "has the token of another operator",
    ],
    [
      "a token that is another's id",
      [alice, { id: "bob", thumbprint: two, token_sha256: sha256Hex("alice") }],
      "has the token of another operator",
    ],
    ["a thumbprint in hex", [{ id: "alice", thumbprint: sha256Hex("k") }], "needs thumbprint"],
    ["no thumbprint", [{ id: "alice", thumbprint: "" }], "needs thumbprint"],
    [
      "a token hash in upper case",
      [{ ...alice, token_sha256: sha256Hex("t").toUpperCase() }],
      "64 lower-case hex",
    ],
    ["an empty id", [{ id: "", thumbprint: one }], "has an id that is not"],
    ["an id with a space", [{ id: "a b", thumbprint: one }], "has an id that is not"],
    ["everyone as a principal", [{ ...alice, principals: ["*"] }], "not a principal's name"],
    ["a tenant in upper case", [{ ...alice, tenant: "Red" }], "not a tenant's name"],
  ])("%s", (_name, configs, message) => {
    expect(() => new OperatorDirectory(configs)).toThrow(message);
    try {
      new OperatorDirectory(configs);
    } catch (error) {
      expect(error).toMatchObject({ code: "operator_config_invalid" });
    }
  });
});
