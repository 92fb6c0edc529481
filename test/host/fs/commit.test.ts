/** What a change of a file does, step by step, and what it leaves when somebody is in its way. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FsEffect } from "../../../src/core/effect.ts";
import type { FsPlan } from "../../../src/core/plan.ts";
import { pooledFileIo } from "../../../src/host/fs/contents.ts";
import { type Kernel, linuxKernel, RENAME } from "../../../src/host/fs/kernel.ts";
import { createHost, type HostOptions } from "../../../src/host/index.ts";
import { callFor, doorRequest, fsPlan } from "../plans.ts";

const top = realpathSync(mkdtempSync(join(tmpdir(), "commits-")));
const root = join(top, "root");
const outside = join(top, "outside");
const at = (path: string) => join(root, path);
const real = linuxKernel();

beforeEach(() => {
  for (const folder of [root, outside]) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
  }
  mkdirSync(at("src"));
  writeFileSync(at("src/a.txt"), "before");
  writeFileSync(join(outside, "b.txt"), "outside");
});
afterAll(() => rmSync(top, { recursive: true }));

const WRITE = { operation: "overwrite", content: Buffer.from("after!") } as const;
const CREATE = { operation: "create", path: "src/new.txt", content: Buffer.from("fresh") } as const;
const DELETE = { operation: "delete" } as const;

async function perform(changes: Partial<FsPlan>, options: HostOptions = {}) {
  const host = createHost({ fsRoots: [root], ...options });
  const plan = fsPlan(root, changes);
  const door = host.door(doorRequest(plan));
  const answer = await door.call(callFor(plan));
  await door.close();
  await host.close();
  const [effect] = door.effects();
  if (effect?.kind !== "fs") throw new Error("no file effect");
  return { err: "err" in answer ? answer.err : null, effect: effect as FsEffect };
}

describe("durable", () => {
  /** The host whose steps that matter for durability are noted: what is synced, and what takes a name. */
  function noted(steps: string[], failing: (step: string) => boolean = () => false): HostOptions {
    const note = (step: string) => {
      steps.push(step);
      if (failing(step)) throw new Error("no space left on device");
    };
    return {
      testing: {
        io: {
          ...pooledFileIo,
          sync: async (fd) => {
            note(statSync(readlinkSync(`/proc/self/fd/${fd}`)).isDirectory() ? "folder" : "content");
            await pooledFileIo.sync(fd);
          },
        },
        kernel: {
          ...real,
          renameat2: (...args) => {
            steps.push("name");
            return real.renameat2(...args);
          },
        },
      },
    };
  }

  test.each([
    ["an overwrite", WRITE, ["content", "name", "folder"]],
    ["a create", CREATE, ["content", "name", "folder"]],
    ["a delete", DELETE, ["name", "folder"]],
  ] as const)("%s is synced before it takes its name, and its folder after", async (_, changes, wanted) => {
    const steps: string[] = [];
    expect((await perform(changes, noted(steps))).effect.reached).toBe("confirmed");
    expect(steps).toEqual([...wanted]);
  });

  test.each([
    ["an overwrite", WRITE],
    ["a create", CREATE],
    ["a delete", DELETE],
  ] as const)("%s whose folder cannot be synced is told as maybe", async (_, changes) => {
    const { err, effect } = await perform(
      changes,
      noted([], (step) => step === "folder"),
    );
    expect([err, effect.reached]).toEqual(["io_error", "maybe"]);
  });
});

describe("the file beside its target", () => {
  const random: HostOptions["random"] = (bytes) => void bytes.fill(0x61);
  const name = `src/.latchgate-${"61".repeat(8)}.tmp`;

  test.each([
    ["a file", () => writeFileSync(at(name), "theirs")],
    ["a link to a file outside", () => symlinkSync(join(outside, "b.txt"), at(name))],
    ["a dangling link", () => symlinkSync(join(outside, "none.txt"), at(name))],
  ])("is never %s that bears the name already", async (_, make) => {
    make();
    const was = Bun.spawnSync(["ls", "-la", "--time-style=full-iso", at("src")]).stdout.toString();
    for (const changes of [WRITE, CREATE]) {
      const { err, effect } = await perform(changes, { random });
      expect([err, effect.reached]).toEqual(["already_exists", "none"]);
    }
    expect(Bun.spawnSync(["ls", "-la", "--time-style=full-iso", at("src")]).stdout.toString()).toBe(was);
    expect(readFileSync(at("src/a.txt"), "utf8")).toBe("before");
    expect(readdirSync(outside)).toEqual(["b.txt"]);
    expect(readFileSync(join(outside, "b.txt"), "utf8")).toBe("outside");
  });

  test("can be read by nobody else before it has the mode of what it replaces", async () => {
    chmodSync(at("src/a.txt"), 0o600);
    const modes: number[] = [];
    const openat: Kernel["openat"] = (folder, path, flags, mode) => {
      if (path.endsWith(".tmp")) modes.push(mode);
      return real.openat(folder, path, flags, mode);
    };
    await perform(WRITE, { testing: { kernel: { ...real, openat } } });
    expect(modes).toEqual([0o600]);
    expect(statSync(at("src/a.txt")).mode & 0o777).toBe(0o600);
  });

  test.skipIf(process.getuid?.() !== 0)("gets the owner of what it replaces", async () => {
    chownSync(at("src/a.txt"), 12_345, 54_321);
    chmodSync(at("src/a.txt"), 0o640);
    expect((await perform(WRITE)).err).toBeNull();
    const { uid, gid, mode } = statSync(at("src/a.txt"));
    expect([uid, gid, mode & 0o777]).toEqual([12_345, 54_321, 0o640]);
  });
});

describe("a second name that a file gets in the middle of a call", () => {
  test.each([
    ["an overwrite", WRITE, RENAME.EXCHANGE],
    ["a delete", DELETE, RENAME.NOREPLACE],
  ] as const)("makes %s a conflict, and both names stay", async (_, changes, step) => {
    let linked = false;
    const renameat2: Kernel["renameat2"] = (...args) => {
      if (!linked && args[4] === step) {
        linked = true;
        linkSync(at("src/a.txt"), join(outside, "second.txt"));
      }
      return real.renameat2(...args);
    };
    const { err, effect } = await perform(changes, { testing: { kernel: { ...real, renameat2 } } });
    expect([err, effect.reached, linked]).toEqual(["conflict", "none", true]);
    expect([readFileSync(at("src/a.txt"), "utf8"), readdirSync(at("src"))]).toEqual(["before", ["a.txt"]]);
    expect(readFileSync(join(outside, "second.txt"), "utf8")).toBe("before");
  });
});

describe("a change that can neither be finished nor undone", () => {
  test.each([
    ["an overwrite", WRITE],
    ["a delete", DELETE],
  ] as const)("%s whose old file cannot be removed is told as maybe", async (_, changes) => {
    const { err, effect } = await perform(changes, { testing: { kernel: { ...real, unlinkat: () => -5 } } });
    expect([err, effect.reached]).toEqual(["io_error", "maybe"]);
  });

  test.each([
    ["an overwrite", WRITE, RENAME.EXCHANGE],
    ["a delete", DELETE, RENAME.NOREPLACE],
  ] as const)("%s that cannot put a stranger's file back is told as maybe", async (_, changes, step) => {
    let steps = 0;
    const renameat2: Kernel["renameat2"] = (...args) => {
      if (args[4] === step && ++steps === 1) writeFileSync(at("src/a.txt"), "theirs");
      return steps === 2 ? -5 : real.renameat2(...args);
    };
    const { err, effect } = await perform(changes, { testing: { kernel: { ...real, renameat2 } } });
    expect([err, effect.reached, steps]).toEqual(["io_error", "maybe", 2]);
    const kept = readdirSync(at("src")).map((name) => readFileSync(at(`src/${name}`), "utf8"));
    expect(kept).toContain("theirs");
  });
});

describe("a file that grows while it is read", () => {
  const cap = 10;
  function growing(): { options: HostOptions; furthest: () => number } {
    let furthest = 0;
    const read: typeof pooledFileIo.read = async (fd, into, position) => {
      furthest = Math.max(furthest, position + into.length);
      writeFileSync(at("src/a.txt"), "x".repeat(1000), { flag: "a" });
      return await pooledFileIo.read(fd, into, position);
    };
    return { options: { testing: { io: { ...pooledFileIo, read } } }, furthest: () => furthest };
  }

  test.each([
    ["read", {}],
    ["replaced", { ...WRITE, content: Buffer.from("after") }],
    ["deleted", DELETE],
  ] as const)("is not %s, and no more than one byte over the limit is looked at", async (_, changes) => {
    const { options, furthest } = growing();
    const { err, effect } = await perform({ ...changes, maxFileBytes: cap }, options);
    expect([err, effect.reached]).toEqual(["too_large", "none"]);
    expect(furthest()).toBeLessThanOrEqual(cap + 1);
    expect(readFileSync(at("src/a.txt"), "utf8")).toStartWith("beforexxx");
    expect(readdirSync(at("src"))).toEqual(["a.txt"]);
  });
});

describe.each([
  ["with openat2", real],
  ["by walking", { ...real, openat2: () => -38 }],
] as const)("what is no ordinary file, %s", (_, kernel) => {
  const options: HostOptions = { testing: { kernel } };
  const OPERATIONS = [{}, WRITE, DELETE] as const;

  test("is refused at the leaf: a FIFO, and a file with a second name", async () => {
    expect(Bun.spawnSync(["mkfifo", at("src/pipe")]).exitCode).toBe(0);
    linkSync(join(outside, "b.txt"), at("src/hard.txt"));
    for (const changes of OPERATIONS)
      for (const path of ["src/pipe", "src/hard.txt"])
        expect((await perform({ ...changes, path }, options)).err).toBe("special_file");
    expect(readdirSync(at("src")).sort()).toEqual(["a.txt", "hard.txt", "pipe"]);
    expect(readFileSync(join(outside, "b.txt"), "utf8")).toBe("outside");
  });

  test("is no folder on the way, and is not created over", async () => {
    expect(Bun.spawnSync(["mkfifo", at("src/pipe")]).exitCode).toBe(0);
    for (const changes of [...OPERATIONS, CREATE])
      expect((await perform({ ...changes, path: "src/pipe/a.txt" }, options)).err).toBe("path_not_found");
    expect((await perform({ ...CREATE, path: "src/pipe" }, options)).err).toBe("already_exists");
    expect(statSync(at("src/pipe")).isFIFO()).toBe(true);
  });
});
