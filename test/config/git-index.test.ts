import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { readIndex, trackedByGit } from "../../src/config/git-index.ts";
import { findProject } from "../../src/config/project.ts";

const GIT = Bun.which("git");

let dir: string;
let project: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "latchgate-test-"));
  project = join(dir, "sub/.latchgate");
  mkdirSync(project, { recursive: true, mode: 0o700 });
  writeFileSync(join(project, "latchgate.toml"), "");
  writeFileSync(join(dir, "sub/.lambda"), "");
  writeFileSync(join(dir, "link"), "");
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function git(...words: string[]): void {
  const run = Bun.spawnSync([GIT ?? "git", "-c", "user.name=t", "-c", "user.email=t@t", ...words], {
    cwd: dir,
    env: { PATH: process.env.PATH ?? "", HOME: dir, GIT_CONFIG_NOSYSTEM: "1" },
    stderr: "pipe",
  });
  if (run.exitCode !== 0) throw new Error(run.stderr.toString());
}

describe.skipIf(GIT === null)("with git (apt-get install git)", () => {
  const makes: [name: string, init: string[], after: string[][]][] = [
    ["index version 2", ["init"], []],
    ["index version 4", ["init"], [["update-index", "--index-version", "4"]]],
    ["sha-256 objects", ["init", "--object-format=sha256"], []],
    ["a split index", ["init"], [["update-index", "--split-index"]]],
    ["an intent to add", ["init"], []],
  ];
  for (const [name, init, after] of makes) {
    test(`${name}: a folder with a tracked file is refused`, () => {
      git(...init);
      git("add", ...(name === "an intent to add" ? ["-N"] : []), ".");
      for (const words of after) git(...words);
      expect(trackedByGit(project)).toBe(`git tracks it in ${dir}`);
      expect(() => findProject({ cwd: join(dir, "sub"), env: {} })).toThrow(
        expect.objectContaining({ code: "project_untrusted" }),
      );
    });

    test(`${name}: a folder without one is used`, () => {
      git(...init);
      git("add", "link", "sub/.lambda");
      for (const words of after) git(...words);
      expect(trackedByGit(project)).toBeNull();
    });
  }

  test("a repository that had tracked it before an inner one was made still counts", () => {
    git("init");
    git("add", ".");
    git("init", "sub");
    expect(trackedByGit(project)).toBe(`git tracks it in ${dir}`);
  });

  test("a worktree's own index counts", () => {
    git("init", "main");
    git("-C", "main", "commit", "--allow-empty", "-m", "x");
    git("-C", "main", "worktree", "add", "../tree");
    const inTree = join(dir, "tree/.latchgate");
    mkdirSync(inTree);
    writeFileSync(join(inTree, "x"), "");
    expect(trackedByGit(inTree)).toBeNull();
    git("-C", "tree", "add", ".latchgate/x");
    expect(trackedByGit(inTree)).toBe(`git tracks it in ${join(dir, "tree")}`);
  });

  test("a folder that is a repository itself is refused", () => {
    git("init", "sub/.latchgate");
    expect(trackedByGit(project)).toBe("it is a git repository of its own");
  });

  test("no byte of an index can be cut off unseen", () => {
    git("init");
    git("add", ".");
    const index = readFileSync(join(dir, ".git/index"));
    const whole = readIndex(index).names.map(String);
    expect(whole).toContain("sub/.latchgate/latchgate.toml");
    fc.assert(
      fc.property(fc.integer({ min: 0, max: index.length - 21 }), (length) => {
        expect(() => readIndex(index.subarray(0, length))).toThrow();
      }),
      { seed: 1 },
    );
  });
});

describe("an index that cannot be read counts as tracking", () => {
  for (const [why, bytes] of [
    ["empty", Buffer.alloc(0)],
    ["not an index", Buffer.from("not an index at all")],
    ["of a later version", Buffer.from("DIRC\0\0\0\x09\0\0\0\0", "latin1")],
    ["cut off", Buffer.from("DIRC\0\0\0\x02\0\0\0\x05.sub/.latchgate", "latin1")],
  ] as const)
    test(why, () => {
      mkdirSync(join(dir, ".git"));
      writeFileSync(
        join(dir, ".git/index"),
        Buffer.concat([bytes, Buffer.from(why === "cut off" ? "/x" : "")]),
      );
      expect(trackedByGit(project)).toContain("cannot be read");
    });

  test("a .git file that names no folder", () => {
    writeFileSync(join(dir, ".git"), "nonsense");
    expect(trackedByGit(project)).toContain("cannot be read");
  });
});

test("an empty .git folder tracks nothing", () => {
  mkdirSync(join(dir, ".git"));
  expect(trackedByGit(project)).toBeNull();
});
