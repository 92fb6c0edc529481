import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isBelowPrefix, isPlainPath, pathPrefixFault } from "../../src/core/path-prefix.ts";
import { parseTargetUrl } from "../../src/core/url.ts";

test.each([
  ["/api", "/api", true],
  ["/api", "/api/", true],
  ["/api", "/api/x", true],
  ["/api", "/api/x/y", true],
  ["/api", "/apix", false],
  ["/api", "/api;x", false],
  ["/api", "/API", false],
  ["/api", "/", false],
  ["/api", "/x/api", false],
  ["/api", "/%61pi", false],
  ["/api/", "/api/x", true],
  ["/api/", "/api", false],
  ["/api/v1", "/api/v10", false],
  ["/", "/", true],
  ["/", "/x", true],
])("below %s: %s is %p", (prefix, path, below) => {
  expect(isBelowPrefix(prefix, path)).toBe(below);
});

describe("a path that readers could disagree on is not plain", () => {
  test.each([
    ["no slash at its beginning", "api"],
    ["an empty segment", "/api//x"],
    ["an empty segment first", "//api"],
    ["two empty segments last", "/api//"],
    ["a dot segment", "/api/./x"],
    ["a dot segment last", "/api/.."],
    ["two dots", "/api/../x"],
    ["two dots, encoded", "/api/%2e%2e/x"],
    ["two dots, half encoded", "/api/.%2E/x"],
    ["two dots, encoded twice", "/api/%252e%252e/x"],
    ["two dots with a path parameter", "/api/..;a=b/x"],
    ["two dots with an encoded path parameter", "/api/..%3Bx/y"],
    ["two dots, full width", "/api/%EF%BC%8E%EF%BC%8E/x"],
    ["two dots in one character", "/api/%E2%80%A5/x"],
    ["two dots, overlong", "/api/%c0%ae%c0%ae/x"],
    ["an encoded slash", "/api/a%2fb"],
    ["an encoded slash, full width", "/api/a%EF%BC%8Fb"],
    ["an encoded slash, encoded twice", "/api/a%252fb"],
    ["a character that becomes three, one of them a slash", "/api/%E2%84%80"],
    ["a backslash", "/api\\x"],
    ["an encoded backslash", "/api/..%5cx"],
    ["a nul", "/api/x%00"],
    ["a line break", "/api/x%0d%0aset-cookie"],
    ["a C1 control", "/api/%C2%85"],
    ["a segment of a path parameter alone", "/api/;x/y"],
    ["a path parameter alone at its end", "/api/;x"],
    ["an incomplete encoding", "/api/%2"],
    ["nothing that is hexadecimal", "/api/%zz"],
    ["bytes that are no UTF-8", "/api/%ff"],
    ["an encoding that a look-alike completes", "/api/%EF%BC%852e"],
  ])("%s: %s", (_what, path) => {
    expect(isPlainPath(path)).toBe(false);
  });

  test.each([
    "/",
    "/api",
    "/api/",
    "/api/v1/items.json",
    "/api/...",
    "/api/..a",
    "/api/a;b=c/d",
    "/api/caf%C3%A9",
    "/api/100%25",
    "/api/a%20b",
    "/api/%61",
    "/@scope/name",
    "/a:b,c~d!e",
  ])("and %s is", (path) => {
    expect(isPlainPath(path)).toBe(true);
  });
});

test.each([
  ["api", "must start with /"],
  ["", "must start with /"],
  ["/a b", "must be up to 128 visible ascii characters"],
  [`/${"a".repeat(128)}`, "must be up to 128 visible ascii characters"],
  ["/café", "must be up to 128 visible ascii characters"],
  ["/a?b", "must be a path alone"],
  ["/a#b", "must be a path alone"],
  ["//evil.example", "must have no empty, dot or doubly encoded segment"],
  ["/a/../b", "must be written as /b"],
  ["/a\\b", "must be written as /a/b"],
  ['/a"b', "must be written as /a%22b"],
  ["/a//b", "must have no empty, dot or doubly encoded segment"],
  ["/a%2fb", "must have no empty, dot or doubly encoded segment"],
  ["/api", null],
  ["/api/", null],
  ["/", null],
])("the prefix %s: %p", (prefix, fault) => {
  expect(pathPrefixFault(prefix)).toBe(fault);
});

/** As careless servers read a path: decoded up to three times, parameters gone, slashes merged, then walked. */
function places(path: string): Set<string> {
  const found = new Set<string>();
  const decode = (text: string) =>
    text.replace(/(?:%[0-9a-f]{2})+/gi, (hex) =>
      Buffer.from(hex.replaceAll("%", ""), "hex").toString("utf8"),
    );
  for (const fold of [(text: string) => text, (text: string) => text.normalize("NFKC")])
    for (const strip of [false, true])
      for (let text = path, round = 0; round < 4; round++, text = decode(text)) {
        const walked: string[] = [];
        for (const segment of fold(text).replaceAll("\\", "/").split("/")) {
          const name = strip ? (segment.split(";", 1)[0] ?? "") : segment;
          if (name === "..") walked.pop();
          else if (name !== "" && name !== ".") walked.push(name);
        }
        found.add(`/${walked.join("/")}`);
      }
  return found;
}

const piece = fc.constantFrom(
  ...["api", "apix", "..", ".", "/", "//", "%2e", "%2E%2e", "%252e", "%2f", "%5c", "\\", ";", ";a", "%3b"],
  ...["x", "%00", "%", "‥", "．", "%EF%BC%8E", "%c0%ae", "%25", "2e", "?q=/../", "#/../", "é", "%C3%A9"],
);

test("what is plain and below a prefix is below it for every reader", () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const path = `/api/${pieces.join("")}`;
      if (!isPlainPath(path) || !isBelowPrefix("/api", path)) return;
      for (const place of places(path)) expect(`${place}/`.startsWith("/api/")).toBe(true);
    }),
    { numRuns: 3000, seed: 20260105 },
  );
});

test("the normal form of a URL reads as the URL did", () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      let url: ReturnType<typeof parseTargetUrl>;
      try {
        url = parseTargetUrl(`https://API.example.com/${pieces.join("")}`);
      } catch {
        return;
      }
      expect(parseTargetUrl(url.href)).toEqual(url);
    }),
    { numRuns: 2000, seed: 20260106 },
  );
});
