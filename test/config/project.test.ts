import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProject, namedProject } from "../../src/config/project.ts";

let dir: string;
let project: string;
let below: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "latchgate-test-"));
  project = join(dir, ".latchgate");
  below = join(dir, "a/b");
  mkdirSync(below, { recursive: true });
  mkdirSync(project, { mode: 0o700 });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const find = (options: { dir?: string; env?: Record<string, string>; uid?: number } = {}) =>
  findProject({ cwd: below, env: {}, ...options });

describe("the project folder", () => {
  test("is found by walking up", () => expect(find()).toEqual({ dir: project, source: "walk" }));

  test("is the nearest", () => {
    mkdirSync(join(dir, "a/.latchgate"), { mode: 0o700 });
    expect(find()?.dir).toBe(join(dir, "a/.latchgate"));
  });

  test("is found by the real path of the current directory", () => {
    symlinkSync(below, join(dir, "link"));
    expect(findProject({ cwd: join(dir, "link"), env: {} })?.dir).toBe(project);
  });

  test("is the one that the flag names, then the one of the environment, and empty means unset", () => {
    const [one, two] = [join(dir, "one"), join(dir, "two")];
    for (const path of [one, two]) mkdirSync(path, { mode: 0o700 });
    expect(find({ dir: "../../one", env: { LATCHGATE_DIR: two } })).toEqual({ dir: one, source: "flag" });
    expect(find({ env: { LATCHGATE_DIR: two } })).toEqual({ dir: two, source: "environment" });
    expect(find({ dir: "", env: { LATCHGATE_DIR: "" } })?.source).toBe("walk");
    expect(namedProject({ cwd: below, dir: "new", env: {} })).toEqual({
      dir: join(below, "new"),
      source: "flag",
    });
  });

  test("is null when there is none", () => {
    rmSync(project, { recursive: true });
    expect(find()).toBeNull();
  });

  test("that is named and not there is an error", () => {
    expect(() => find({ dir: "missing" })).toThrow(expect.objectContaining({ code: "project_not_found" }));
  });
});

describe("a folder that somebody else could have put there is refused", () => {
  const refused = (reason: string, options: Parameters<typeof find>[0] = {}) =>
    expect(() => find(options)).toThrow(
      expect.objectContaining({ code: "project_untrusted", message: expect.stringContaining(reason) }),
    );

  test("another account's", () => refused("another account owns it", { uid: (process.getuid?.() ?? 0) + 1 }));

  for (const mode of [0o702, 0o720, 0o777])
    test(`writable by others (${mode.toString(8)})`, () => {
      chmodSync(project, mode);
      refused("others can write in it");
    });

  test("replaceable by everyone", () => {
    chmodSync(dir, 0o777);
    refused("everyone can replace it");
    chmodSync(dir, 0o1777);
    expect(find()?.dir).toBe(project);
  });

  test("a symlink, also when it is named with a slash at its end", () => {
    renameSync(project, join(dir, "real"));
    symlinkSync("real", project);
    refused("symbolic link");
    refused("symbolic link", { dir: `${project}/` });
  });

  test("a file", () => {
    rmSync(project, { recursive: true });
    writeFileSync(project, "");
    refused("not a folder");
  });

  test("and does not hide behind a trusted one further up", () => {
    mkdirSync(join(dir, "a/.latchgate"), { mode: 0o777 });
    chmodSync(join(dir, "a/.latchgate"), 0o777);
    refused("others can write in it");
  });
});
