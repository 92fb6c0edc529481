import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compileGlob, type Glob, GlobError, type GlobOptions } from "../../src/core/glob.ts";

function glob(pattern: string, options?: GlobOptions): Glob {
  const compiled = compileGlob(pattern, options);
  if (compiled instanceof GlobError) throw compiled;
  return compiled;
}

const TABLE: readonly (readonly [pattern: string, matching: readonly string[], others: readonly string[]])[] =
  [
    ["*.md", ["a.md", ".md"], ["docs/a.md", "a.mdx", "a.MD"]],
    ["src/**", ["src/a", "src/a/b/c.ts", "src/.env"], ["src", "srcx/a", "lib/src/a"]],
    ["**", ["a", "a/b", ".env"], []],
    ["**/.env", [".env", "a/.env", "a/b/.env"], ["x.env", "a/x.env", ".env/a", ".envrc"]],
    ["**/.env.*", [".env.local", "a/.env.prod"], [".env", "a/.env"]],
    ["a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb", "a/b/c", "x/a/b", "a//b"]],
    ["**/.git/**", [".git/config", "x/.git/hooks/pre-push"], [".git", "x/.git", "x.git/config"]],
    ["a?c", ["abc", "a.c"], ["ac", "a/c", "abbc"]],
    ["[a-c]x", ["ax", "cx"], ["dx", "-x", "Ax"]],
    ["[!a-c]x", ["dx", "Ax"], ["ax", "/x", "x"]],
    ["[]-]x", ["]x", "-x"], ["ax"]],
    ["[a\\]]x", ["ax", "]x"], ["\\x"]],
    ["{src,docs}/**", ["src/a", "docs/a/b"], ["test/a", "src"]],
    ["{a,{b,c}d}", ["a", "bd", "cd"], ["b", "ad"]],
    ["a{,.bak}", ["a", "a.bak"], ["a.", ".bak"]],
    ["{src/**,*.md}", ["src/x/y", "a.md"], ["docs/a.md"]],
    ["\\*.md", ["*.md"], ["a.md"]],
    ["a\\{b", ["a{b"], ["ab"]],
    ["ünï*", ["ünïcode", "ünï😀"], ["uni"]],
    ["?", ["😀"], ["😀😀"]],
  ];

for (const [pattern, matching, others] of TABLE)
  test(`the pattern ${pattern} covers what it says and no more`, () => {
    for (const path of matching) expect([path, glob(pattern).matches(path)]).toEqual([path, true]);
    for (const path of others) expect([path, glob(pattern).matches(path)]).toEqual([path, false]);
  });

test("regardless of case, letters match in every spelling that a folding volume takes for the same", () => {
  const env = glob("**/.ENV", { ignoreCase: true });
  for (const path of [".env", ".Env", "a/.eNV"]) expect(env.matches(path)).toBe(true);
  expect(glob("**/.env").matches(".ENV")).toBe(false);
  const keys = glob("**/.ssh/[a-z]*_KEY", { ignoreCase: true });
  for (const path of [".SSH/Id_key", ".\u017fsh/id_\u212aey"]) expect(keys.matches(path)).toBe(true);
  expect(glob("**/strasse", { ignoreCase: true }).matches("stra\u00dfe")).toBe(true);
});

const WRONG: readonly (readonly [pattern: string, message: string])[] = [
  ["", "pattern is empty"],
  ["/etc/*", "pattern starts with a slash; paths are relative to the root"],
  ["a**", "** must be a whole segment"],
  ["**a/b", "** must be a whole segment"],
  ["a/***", "** must be a whole segment"],
  ["[a", "pattern has a [ without a ]"],
  ["[]", "pattern has a [ without a ]"],
  ["[z-a]", "pattern has a class range that runs backwards"],
  ["[/]", "a class cannot hold a slash"],
  ["{a,b", "pattern has a { without a }"],
  ["a}", "pattern has a } without a {"],
  ["a\\", "pattern has a \\ before nothing"],
  ["a/../b", "pattern has an empty, . or .. segment, or an empty alternative"],
  ["{,a}", "pattern has an empty, . or .. segment, or an empty alternative"],
  ["dir/", "pattern has an empty, . or .. segment, or an empty alternative"],
  ["a\u0000", "pattern contains a control character"],
  ["\ud800", "pattern contains a lone surrogate"],
  ["x".repeat(1025), "pattern longer than 1024 characters"],
  ["{a,b}".repeat(8), "pattern multiplies out too far; use fewer alternatives"],
];

for (const [pattern, message] of WRONG)
  test(`the pattern ${JSON.stringify(pattern).slice(0, 40)} is refused`, () => {
    const outcome = compileGlob(pattern);
    if (!(outcome instanceof GlobError)) throw new Error("compiled");
    expect([outcome.code, outcome.message]).toEqual(["glob_invalid", message]);
  });

describe("properties", () => {
  const name = fc.stringMatching(/^[a-z.]{1,4}$/).filter((text) => text !== "." && text !== "..");
  const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((segments) => segments.join("/"));
  const segment = fc.oneof(
    fc.constant("**"),
    fc
      .array(fc.constantFrom("a", "b", ".", "*", "?", "[ab]", "[!a]"), { minLength: 1, maxLength: 4 })
      .map((parts) => parts.join("").replace(/\*+/g, "*"))
      .filter((text) => text !== "." && text !== ".."),
  );
  const pattern = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join("/"));

  test("a pattern without special characters covers exactly itself", () => {
    fc.assert(
      fc.property(path, path, (one, other) => {
        expect(glob(one).matches(one)).toBe(true);
        expect(glob(one).matches(other)).toBe(one === other);
      }),
      { seed: 1 },
    );
  });

  test("matching agrees with a definition by recursion over segments", () => {
    fc.assert(
      fc.property(pattern, path, (text, candidate) => {
        expect(glob(text).matches(candidate)).toBe(defined(text.split("/"), candidate.split("/")));
      }),
      { seed: 1, numRuns: 5000 },
    );
  });

  test("what matches by case also matches regardless of case", () => {
    fc.assert(
      fc.property(
        pattern.filter((text) => !text.includes("[!")),
        path,
        (text, candidate) => {
          const folded = glob(text.toUpperCase(), { ignoreCase: true });
          if (glob(text).matches(candidate)) expect(folded.matches(candidate.toUpperCase())).toBe(true);
        },
      ),
      { seed: 1 },
    );
  });

  test("a pattern made to explode a backtracking engine is decided all the same", () => {
    const hostile = glob(`${"*a".repeat(100)}b`);
    expect(hostile.matches("a".repeat(4096))).toBe(false);
    expect(hostile.matches(`${"a".repeat(4095)}b`)).toBe(true);
  });
});

/** The meaning of a pattern, slow and plain. */
function defined(pattern: readonly string[], path: readonly string[]): boolean {
  const [head, ...rest] = pattern;
  if (head === undefined) return path.length === 0;
  if (head === "**") {
    if (rest.length === 0) return path.length > 0;
    return path.some((_, i) => defined(rest, path.slice(i)));
  }
  const [first, ...others] = path;
  return first !== undefined && within([...head], first) && defined(rest, others);
}

function within(pattern: readonly string[], text: string): boolean {
  const [head, ...rest] = pattern;
  if (head === undefined) return text === "";
  if (head === "*") return within(rest, text) || (text !== "" && within(pattern, text.slice(1)));
  if (text === "") return false;
  if (head === "?") return within(rest, text.slice(1));
  if (head === "[") {
    const close = rest.indexOf("]");
    const members = rest.slice(0, close);
    const listed = members[0] === "!" ? !members.includes(text[0] ?? "") : members.includes(text[0] ?? "");
    return listed && within(rest.slice(close + 1), text.slice(1));
  }
  return head === text[0] && within(rest, text.slice(1));
}
