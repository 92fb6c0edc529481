import { expect, test } from "bun:test";
import { builtinManifests, loadActions } from "../../src/actions/index.ts";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import { isJsonObject, JsonError, parseJson, REQUEST_LIMITS } from "../../src/core/json.ts";

/** What a request goes through before it is hashed. */
function readRequest(text: string | Uint8Array): string {
  try {
    return `accepted ${canonicalJson(parseJson(text, REQUEST_LIMITS)).length}`;
  } catch (thrown) {
    if (thrown instanceof JsonError) return thrown.fault;
    throw thrown;
  }
}

const bomb = 1 << 20;

test.each([
  ["a duplicate key", '{"url":"https://a.example/","url":"https://b.example/"}', "duplicate_member"],
  ["a duplicate key, once escaped", '{"url":1,"\\u0075rl":2}', "duplicate_member"],
  ["a duplicate key deep inside", '{"a":[{"b":{"c":1,"c":1}}]}', "duplicate_member"],
  ["an integer beyond 2^53", '{"amount":9007199254740993}', "unsafe_integer"],
  ["an integer beyond 2^53 as a fraction", '{"amount":90071992547409930e-1}', "unsafe_integer"],
  ["an exponent that overflows", '{"amount":1e999}', "number_out_of_range"],
  ["a lone surrogate", '{"title":"\\ud800"}', "lone_surrogate"],
  ["a lone surrogate in a name", '{"\\udfff":1}', "lone_surrogate"],
  ["__proto__", '{"__proto__":{"url":"https://evil.example/"}}', "forbidden_member"],
  ["arrays nested too deep", "[".repeat(bomb / 2), "too_deep"],
  ["objects nested too deep", `${'{"a":'.repeat(33)}1${"}".repeat(33)}`, "too_deep"],
  ["a body too large", `"${"a".repeat(bomb)}"`, "too_large"],
  ["a body too large in bytes, not in characters", `"${"\u20ac".repeat(bomb / 3)}"`, "too_large"],
] as [string, string, string][])("%s is refused before hashing", (_name, text, refusal) => {
  expect(readRequest(text)).toBe(refusal);
  expect(readRequest(Buffer.from(text, "utf8"))).toBe(refusal);
});

test("the same reader lets a sound request through", () => {
  expect(readRequest('{"url":"https://a.example/"}')).toBe("accepted 28");
});

test("bytes that are no utf-8 are refused before hashing", () => {
  expect(readRequest(Uint8Array.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))).toBe("not_utf8");
});

test("a list of the greatest length ends in linear time, with few and short problems", async () => {
  const { registry } = await loadActions({ builtins: builtinManifests(), directories: [] });
  const body = parseJson(`{"url":[${"0,".repeat(400_000)}0]}`);
  const members = Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [`member_${i}`, 0]));
  for (const hostile of [body, members]) {
    const checked = isJsonObject(hostile) ? registry.get("http_post")?.check(hostile) : undefined;
    if (checked === undefined || checked.ok) throw new Error("accepted");
    expect(checked.problems.length).toBeLessThanOrEqual(5);
    expect(checked.problems.join("").length).toBeLessThan(1000);
  }
});
