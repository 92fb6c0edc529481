import { expect, test } from "bun:test";
import { HostFailure } from "../../../src/host/failure.ts";
import { checkPath } from "../../../src/host/fs/paths.ts";

function verdict(path: string): unknown {
  try {
    return checkPath(path);
  } catch (thrown) {
    if (thrown instanceof HostFailure) return thrown.code;
    throw thrown;
  }
}

test("a plain relative path is split into folder and name", () => {
  expect(verdict("a.txt")).toEqual({ folder: ".", name: "a.txt" });
  expect(verdict("src/b/.env")).toEqual({ folder: "src/b", name: ".env" });
  expect(verdict("...")).toEqual({ folder: ".", name: "..." });
  expect(verdict("ünï/😀 x")).toEqual({ folder: "ünï", name: "😀 x" });
});

test("a .. segment anywhere is traversal", () => {
  for (const path of ["..", "../a", "a/..", "a/../b", "/..", "a/..\u0000/.."])
    expect([path, verdict(path)]).toEqual([path, "traversal"]);
});

const INVALID = [
  ["", "/", "/etc/passwd", "a/", "a//b", "./a", "a/.", "."],
  ["a\u0000", "a\nb", "a\tb", "\u007f", "\u0085", "a\u202eb", "a\u2066b", "\u2028", "\ud800"],
  ["a\\b", "\\etc", "..\\a", "C:/a", "c:a", "x".repeat(256), "é".repeat(128), `${"a/".repeat(2100)}a`],
].flat();

for (const path of INVALID)
  test(`${JSON.stringify(path).slice(0, 30)} is not a path`, () => {
    expect(verdict(path)).toBe("path_invalid");
  });
