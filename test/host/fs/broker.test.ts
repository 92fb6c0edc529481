import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FsEffect } from "../../../src/core/effect.ts";
import type { HostAnswer } from "../../../src/core/host-call.ts";
import type { FsPlan } from "../../../src/core/plan.ts";
import { ERRNO, type Kernel, linuxKernel, O } from "../../../src/host/fs/kernel.ts";
import { createHost, type DoorRequest, type Host } from "../../../src/host/index.ts";
import { callFor, doorRequest, fsPlan, LIMITS } from "../plans.ts";

const root = realpathSync(mkdtempSync(join(tmpdir(), "files-")));
const at = (path: string) => join(root, path);
const host = createHost({ fsRoots: [root] });

beforeEach(() => {
  rmSync(at("src"), { recursive: true, force: true });
  mkdirSync(at("src/deep"), { recursive: true });
  writeFileSync(at("src/a.txt"), "before");
});
afterAll(async () => {
  await host.close();
  rmSync(root, { recursive: true });
});

async function perform(
  changes: Partial<FsPlan>,
  on: Host = host,
  request: Partial<DoorRequest> = {},
): Promise<{ answer: HostAnswer; effect: FsEffect }> {
  const plan = fsPlan(root, changes);
  const door = on.door(doorRequest(plan, request));
  const answer = await door.call(callFor(plan));
  await door.close();
  const [effect] = door.effects();
  if (effect?.kind !== "fs") throw new Error("no file effect");
  return { answer, effect };
}

async function codeOf(changes: Partial<FsPlan>, on: Host = host, request: Partial<DoorRequest> = {}) {
  const { answer, effect } = await perform(changes, on, request);
  const err = "err" in answer ? answer.err : null;
  expect<unknown>([effect.error, effect.reached]).toEqual([err, err === null ? "confirmed" : "none"]);
  return err;
}

function sha256(content: string | Uint8Array): Buffer {
  return createHash("sha256").update(content).digest();
}

function inode(path: string): { device: string; inode: string } {
  const stat = statSync(at(path), { bigint: true });
  return { device: String(stat.dev), inode: String(stat.ino) };
}

/** Names in a folder; temporary ones would show. */
function names(folder: string): string[] {
  return readdirSync(at(folder)).sort();
}

const EACCES = 13;

const WRITE = { operation: "overwrite", content: Buffer.from("after!") } as const;
const CREATE = { operation: "create", path: "src/new.txt", content: Buffer.from("fresh") } as const;
const DELETE = { operation: "delete" } as const;

describe("what a plan asks for is done", () => {
  test("read gives the content with its hash", async () => {
    const { answer, effect } = await perform({});
    expect(answer).toEqual({
      kind: "fs.read",
      ok: { content: Buffer.from("before"), hash: sha256("before"), sizeBytes: 6 },
    });
    const hash = sha256("before").toString("hex");
    expect(effect).toEqual({
      kind: "fs",
      operation: "read",
      path: "src/a.txt",
      ...inode("src/a.txt"),
      beforeHash: hash,
      afterHash: hash,
      bytesBefore: 6,
      bytesAfter: 6,
      reached: "confirmed",
      error: null,
    });
  });

  test("a file of several pieces is read whole", async () => {
    const content = Buffer.alloc(3 * 1024 * 1024 + 7, "abc");
    writeFileSync(at("src/a.txt"), content);
    const limits = { ...LIMITS, responseBytes: content.length };
    const { answer } = await perform({ maxFileBytes: content.length }, host, { limits });
    if (!("ok" in answer) || answer.kind !== "fs.read") throw new Error("not read");
    expect(sha256(content).equals(answer.ok.hash)).toBe(true);
    expect(Buffer.from(answer.ok.content).equals(content)).toBe(true);
  });

  test("create makes a new file in an existing folder", async () => {
    const { answer, effect } = await perform(CREATE);
    expect(answer).toEqual({
      kind: "fs.write",
      ok: { beforeHash: null, afterHash: sha256("fresh"), bytesBefore: 0, bytesWritten: 5 },
    });
    expect(effect).toEqual({
      kind: "fs",
      operation: "create",
      path: "src/new.txt",
      ...inode("src/new.txt"),
      beforeHash: null,
      afterHash: sha256("fresh").toString("hex"),
      bytesBefore: 0,
      bytesAfter: 5,
      reached: "confirmed",
      error: null,
    });
    expect(readFileSync(at("src/new.txt"), "utf8")).toBe("fresh");
    expect(statSync(at("src/new.txt")).mode & 0o777).toBe(0o666 & ~process.umask());
    expect(names("src")).toEqual(["a.txt", "deep", "new.txt"]);
  });

  test("create makes an empty file, and one at the root", async () => {
    expect(await codeOf({ ...CREATE, content: new Uint8Array(), path: "empty.txt" })).toBeNull();
    expect(readFileSync(at("empty.txt")).length).toBe(0);
    rmSync(at("empty.txt"));
  });

  test("overwrite puts a whole new file in the place of the old one, with its mode", async () => {
    chmodSync(at("src/a.txt"), 0o640);
    const { answer, effect } = await perform({
      ...WRITE,
      expectedBeforeHash: sha256("before").toString("hex"),
    });
    expect(answer).toEqual({
      kind: "fs.write",
      ok: { beforeHash: sha256("before"), afterHash: sha256("after!"), bytesBefore: 6, bytesWritten: 6 },
    });
    expect(effect).toMatchObject({
      operation: "overwrite",
      path: "src/a.txt",
      ...inode("src/a.txt"),
      beforeHash: sha256("before").toString("hex"),
      afterHash: sha256("after!").toString("hex"),
      reached: "confirmed",
    });
    expect([readFileSync(at("src/a.txt"), "utf8"), statSync(at("src/a.txt")).mode & 0o777]).toEqual([
      "after!",
      0o640,
    ]);
    expect(names("src")).toEqual(["a.txt", "deep"]);
  });

  test("overwrite drops set-id bits, as writing in place would", async () => {
    chmodSync(at("src/a.txt"), 0o4755);
    expect(await codeOf(WRITE)).toBeNull();
    expect(statSync(at("src/a.txt")).mode & 0o7777).toBe(0o755);
  });

  test("delete removes the file and tells what it held", async () => {
    const was = inode("src/a.txt");
    const { answer, effect } = await perform(DELETE);
    expect(answer).toEqual({ kind: "fs.delete", ok: { ok: true } });
    expect(effect).toEqual({
      kind: "fs",
      operation: "delete",
      path: "src/a.txt",
      ...was,
      beforeHash: sha256("before").toString("hex"),
      afterHash: null,
      bytesBefore: 6,
      bytesAfter: 0,
      reached: "confirmed",
      error: null,
    });
    expect(names("src")).toEqual(["deep"]);
  });
});

describe("what does not fit is refused, and the folder is as before", () => {
  const CASES: readonly (readonly [what: string, changes: Partial<FsPlan>, code: string])[] = [
    ["reading what is not there", { path: "src/b.txt" }, "path_not_found"],
    ["reading beneath a file", { path: "src/a.txt/b" }, "path_not_found"],
    ["reading a folder", { path: "src/deep" }, "special_file"],
    ["creating what is there", { ...CREATE, path: "src/a.txt" }, "already_exists"],
    ["creating over a folder", { ...CREATE, path: "src/deep" }, "already_exists"],
    ["creating in a missing folder", { ...CREATE, path: "src/none/a" }, "path_not_found"],
    ["overwriting what is not there", { ...WRITE, path: "src/b.txt" }, "path_not_found"],
    ["overwriting another content", { ...WRITE, expectedBeforeHash: "00".repeat(32) }, "conflict"],
    ["deleting what is not there", { ...DELETE, path: "src/b.txt" }, "path_not_found"],
    ["deleting another content", { ...DELETE, expectedBeforeHash: "00".repeat(32) }, "conflict"],
    ["deleting a folder", { ...DELETE, path: "src/deep" }, "special_file"],
    ["traversal", { path: "src/../src/a.txt" }, "traversal"],
    ["an absolute path", { path: "/etc/passwd" }, "path_invalid"],
    ["a denied path", { deny: ["src/*.txt"] }, "path_denied"],
    ["a path denied in other letters", { deny: ["SRC/A.*"] }, "path_denied"],
    ["a path both allowed and denied", { allow: ["src/a.txt"], deny: ["**/a.txt"] }, "path_denied"],
    ["a path that nothing allows", { allow: ["docs/**"] }, "path_not_allowed"],
    ["an allowed path in other letters", { allow: ["SRC/**"] }, "path_not_allowed"],
    ["any path without patterns", { allow: [] }, "path_not_allowed"],
    ["any path under a deny pattern that cannot be read", { deny: ["[a"] }, "path_denied"],
    ["any path under an allow pattern that cannot be read", { allow: ["[a"] }, "path_not_allowed"],
    ["a file over the limit", { maxFileBytes: 5 }, "too_large"],
    ["content over the limit", { ...WRITE, maxFileBytes: 5 }, "too_large"],
    ["a replaced file over the limit", { ...WRITE, content: Buffer.from("x"), maxFileBytes: 5 }, "too_large"],
    ["a write without content", { ...WRITE, content: null }, "differs_from_plan"],
  ];
  for (const [what, changes, code] of CASES)
    test(`${what}: ${code}`, async () => {
      expect(await codeOf(changes)).toBe(code);
      expect(names("src")).toEqual(["a.txt", "deep"]);
      expect(readFileSync(at("src/a.txt"), "utf8")).toBe("before");
    });

  test("the limits of the call hold beside those of the plan", async () => {
    const small = { limits: { ...LIMITS, requestBytes: 5, responseBytes: 5 } };
    expect(await codeOf({}, host, small)).toBe("too_large");
    expect(await codeOf(WRITE, host, small)).toBe("too_large");
  });

  test("no file of more than 10 MiB, whatever the plan says", async () => {
    writeFileSync(at("src/a.txt"), Buffer.alloc(10 * 1024 * 1024 + 1));
    const limits = { ...LIMITS, responseBytes: 2 ** 40 };
    expect(await codeOf({ maxFileBytes: 2 ** 40 }, host, { limits })).toBe("too_large");
  });

  test("a file that may not be written is not replaced", async () => {
    // What a file without write permission answers to anybody but root.
    const openat: Kernel["openat"] = (folder, path, flags, mode) =>
      (flags & O.READ_WRITE) !== 0 ? -EACCES : linuxKernel().openat(folder, path, flags, mode);
    const bounded = createHost({ fsRoots: [root], testing: { kernel: { ...linuxKernel(), openat } } });
    expect(await codeOf(WRITE, bounded)).toBe("io_error");
    expect([readFileSync(at("src/a.txt"), "utf8"), names("src")]).toEqual(["before", ["a.txt", "deep"]]);
    await bounded.close();
  });
});

describe("without openat2", () => {
  const real = linuxKernel();
  for (const errno of [ERRNO.ENOSYS, ERRNO.EPERM])
    test(`the same paths are reached and refused by walking (errno ${errno})`, async () => {
      const kernel: Kernel = { ...real, openat2: () => -errno };
      const walking = createHost({ fsRoots: [root], testing: { kernel } });
      mkdirSync(at("src/deep/er"));
      writeFileSync(at("src/deep/er/b.txt"), "deep");
      const deep = await perform({ path: "src/deep/er/b.txt" }, walking);
      expect(deep.effect).toMatchObject({ path: "src/deep/er/b.txt", reached: "confirmed" });
      expect(await codeOf(CREATE, walking)).toBeNull();
      expect(await codeOf(WRITE, walking)).toBeNull();
      expect(await codeOf({ ...DELETE, path: "src/new.txt" }, walking)).toBeNull();
      expect(await codeOf({ path: "src/none.txt" }, walking)).toBe("path_not_found");
      expect(await codeOf({ path: "src/a.txt/b" }, walking)).toBe("path_not_found");
      expect(await codeOf({ path: "src/deep" }, walking)).toBe("special_file");
      await walking.close();
    });

  test("a kernel that is never sure is asked a bounded number of times", async () => {
    let asked = 0;
    const kernel: Kernel = {
      ...real,
      openat2: () => {
        asked += 1;
        return -ERRNO.EAGAIN;
      },
    };
    const unsure = createHost({ fsRoots: [root], testing: { kernel } });
    expect([await codeOf({}, unsure), asked]).toEqual(["io_error", 16]);
    await unsure.close();
  });

  test("a kernel that is sure at the second look is believed", async () => {
    let asked = 0;
    const kernel: Kernel = {
      ...real,
      openat2: (...args) => (asked++ === 0 ? -ERRNO.EAGAIN : real.openat2(...args)),
    };
    const sure = createHost({ fsRoots: [root], testing: { kernel } });
    expect(await codeOf({}, sure)).toBeNull();
    await sure.close();
  });
});

test("no descriptor is left open, however a call ends", async () => {
  const open = () => readdirSync("/proc/self/fd").length;
  await perform({});
  const before = open();
  for (const changes of [{}, WRITE, CREATE, { ...DELETE, path: "src/new.txt" }, { path: "src/deep" }])
    await perform(changes);
  for (const changes of [
    { path: "none/x" },
    { ...WRITE, expectedBeforeHash: "00".repeat(32) },
    { deny: ["**"] },
  ])
    await perform(changes);
  expect(open()).toBe(before);
});

test("errno comes back as the kernel gave it", () => {
  const kernel = linuxKernel();
  expect(kernel.openat(-1, "/does/not/exist", O.READ, 0)).toBe(-ERRNO.ENOENT);
  expect(kernel.unlinkat(-1, "relative")).toBe(-9);
  expect(() => kernel.openat(-1, "a\0b", O.READ, 0)).toThrow(TypeError);
});
