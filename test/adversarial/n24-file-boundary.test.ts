import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FsEffect } from "../../src/core/effect.ts";
import type { FsPlan } from "../../src/core/plan.ts";
import { pooledFileIo } from "../../src/host/fs/contents.ts";
import { type Kernel, linuxKernel, RENAME } from "../../src/host/fs/kernel.ts";
import { createHost, type Host, type HostOptions } from "../../src/host/index.ts";
import { callFor, doorRequest, fsPlan } from "../host/plans.ts";

const top = realpathSync(mkdtempSync(join(tmpdir(), "n24-")));
const root = join(top, "root");
const outside = join(top, "outside");
const at = (path: string) => join(root, path);
const real = linuxKernel();
const hosts: Host[] = [];

beforeEach(() => {
  rmSync(root, { recursive: true, force: true });
  rmSync(outside, { recursive: true, force: true });
  mkdirSync(at("src/deep"), { recursive: true });
  mkdirSync(outside);
  writeFileSync(at("src/a.txt"), "before");
  writeFileSync(at("src/deep/b.txt"), "inside");
  writeFileSync(join(outside, "b.txt"), "outside");
});
afterAll(async () => {
  for (const host of hosts) await host.close();
  rmSync(top, { recursive: true });
});

function hostWith(testing: NonNullable<HostOptions["testing"]> = {}): Host {
  const host = createHost({ fsRoots: [root], testing });
  hosts.push(host);
  return host;
}

interface Outcome {
  readonly err: string | null;
  readonly content: string | null;
  readonly effect: FsEffect;
}

async function perform(host: Host, changes: Partial<FsPlan>): Promise<Outcome> {
  const plan = fsPlan(root, changes);
  const door = host.door(doorRequest(plan));
  const answer = await door.call(callFor(plan));
  await door.close();
  const [effect] = door.effects();
  if (effect?.kind !== "fs") throw new Error("no file effect");
  const read = "ok" in answer && answer.kind === "fs.read" ? Buffer.from(answer.ok.content).toString() : null;
  return { err: "err" in answer ? answer.err : null, content: read, effect };
}

const WRITE = { operation: "overwrite", content: Buffer.from("after!") } as const;
const CREATE = { operation: "create", content: Buffer.from("fresh") } as const;

/** Every operation that touches an existing file. */
const OPERATIONS: readonly Partial<FsPlan>[] = [{}, WRITE, { operation: "delete" }];

describe("a write that fails half-way leaves the old file and nothing else", () => {
  function full(): Error {
    return Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
  }
  const faults: readonly (readonly [what: string, testing: NonNullable<HostOptions["testing"]>])[] = [
    [
      "a disk that is full after three bytes",
      {
        io: {
          ...pooledFileIo,
          write: async (fd, from, position) => {
            if (position > 0) throw full();
            return await pooledFileIo.write(fd, from.subarray(0, 3), position);
          },
        },
      },
    ],
    ["a disk that takes nothing", { io: { ...pooledFileIo, write: async () => 0 } }],
    [
      "a disk that cannot make it durable",
      { io: { ...pooledFileIo, sync: async () => Promise.reject(full()) } },
    ],
    ["a name that cannot be given", { kernel: { ...real, renameat2: () => -28 } }],
  ];
  for (const [what, testing] of faults)
    test(what, async () => {
      const host = hostWith(testing);
      for (const changes of [WRITE, { ...CREATE, path: "src/new.txt" }]) {
        const { err, effect } = await perform(host, changes);
        expect([err, effect.reached, effect.error, effect.afterHash]).toEqual([
          "io_error",
          "none",
          "io_error",
          null,
        ]);
      }
      expect(readFileSync(at("src/a.txt"), "utf8")).toBe("before");
      expect(readdirSync(at("src")).sort()).toEqual(["a.txt", "deep"]);
    });

  test("a door closed in mid-write", async () => {
    const started = Promise.withResolvers<void>();
    const resume = Promise.withResolvers<void>();
    const host = hostWith({
      io: {
        ...pooledFileIo,
        write: async (fd, from, position) => {
          started.resolve();
          await resume.promise;
          return await pooledFileIo.write(fd, from, position);
        },
      },
    });
    const plan = fsPlan(root, WRITE);
    const door = host.door(doorRequest(plan));
    const answer = door.call(callFor(plan));
    await started.promise;
    const closing = door.close();
    resume.resolve();
    await closing;
    expect(await answer).toEqual({ kind: "fs.write", err: "cancelled" });
    expect(door.effects().map((effect) => effect.reached)).toEqual(["none"]);
    expect([readFileSync(at("src/a.txt"), "utf8"), readdirSync(at("src")).sort()]).toEqual([
      "before",
      ["a.txt", "deep"],
    ]);
  });

  test("a folder that cannot be made durable after the exchange is told as maybe, never as done", async () => {
    let syncs = 0;
    const host = hostWith({
      io: { ...pooledFileIo, sync: (fd) => (syncs++ === 0 ? pooledFileIo.sync(fd) : Promise.reject(full())) },
    });
    const { err, effect } = await perform(host, WRITE);
    expect([err, effect.reached, readFileSync(at("src/a.txt"), "utf8")]).toEqual([
      "io_error",
      "maybe",
      "after!",
    ]);
  });
});

describe("what is no ordinary file is refused, and never waited for", () => {
  async function refused(path: string, code: string, folder = "src"): Promise<void> {
    const before = readdirSync(at(folder)).sort();
    const host = hostWith();
    for (const changes of OPERATIONS) {
      const { err, effect } = await perform(host, { ...changes, path });
      expect([path, changes.operation ?? "read", err, effect.reached]).toEqual([
        path,
        changes.operation ?? "read",
        code,
        "none",
      ]);
    }
    expect(readdirSync(at(folder)).sort()).toEqual(before);
  }

  test("a FIFO", async () => {
    expect(Bun.spawnSync(["mkfifo", at("src/pipe")]).exitCode).toBe(0);
    await refused("src/pipe", "special_file");
  });

  test("a socket", async () => {
    const server = createServer();
    await new Promise<void>((ready) => server.listen(at("src/sock"), ready));
    await refused("src/sock", "special_file");
    await new Promise<void>((closed) => server.close(() => closed()));
  });

  test.skipIf(process.getuid?.() !== 0)("a device", async () => {
    expect(Bun.spawnSync(["mknod", at("src/null"), "c", "1", "3"]).exitCode).toBe(0);
    await refused("src/null", "special_file");
  });

  test("a file with a second name outside", async () => {
    linkSync(join(outside, "b.txt"), at("src/hard.txt"));
    await refused("src/hard.txt", "special_file");
    expect(readFileSync(join(outside, "b.txt"), "utf8")).toBe("outside");
  });

  test("a symbolic link at the leaf, leading out or staying in", async () => {
    symlinkSync(join(outside, "b.txt"), at("src/out.txt"));
    symlinkSync("a.txt", at("src/in.txt"));
    await refused("src/out.txt", "symlink_escape");
    await refused("src/in.txt", "symlink_escape");
    expect(readFileSync(join(outside, "b.txt"), "utf8")).toBe("outside");
  });

  test("a symbolic link on the way, leading out or staying in", async () => {
    symlinkSync(outside, at("src/out"));
    symlinkSync("deep", at("src/in"));
    symlinkSync("/proc/self/root", at("src/magic"));
    await refused("src/out/b.txt", "symlink_escape");
    await refused("src/in/b.txt", "symlink_escape");
    await refused("src/magic/etc/hostname", "symlink_escape");
  });

  test("by walking, where the kernel has no openat2, all the same", async () => {
    symlinkSync(outside, at("src/out"));
    symlinkSync("a.txt", at("src/in.txt"));
    const host = hostWith({ kernel: { ...real, openat2: () => -38 } });
    for (const changes of OPERATIONS)
      for (const path of ["src/out/b.txt", "src/in.txt"])
        expect([path, (await perform(host, { ...changes, path })).err]).toEqual([path, "symlink_escape"]);
  });

  test("creating through a link, or over a dangling one, touches nothing outside", async () => {
    symlinkSync(outside, at("src/out"));
    symlinkSync(join(outside, "new.txt"), at("src/dangling.txt"));
    const host = hostWith();
    expect((await perform(host, { ...CREATE, path: "src/out/new.txt" })).err).toBe("symlink_escape");
    expect((await perform(host, { ...CREATE, path: "src/dangling.txt" })).err).toBe("already_exists");
    expect(readdirSync(outside)).toEqual(["b.txt"]);
  });
});

describe("a swap at the path in the middle of a call", () => {
  /** A kernel that lets somebody act just before one system call. */
  function before(call: keyof Kernel, act: () => void, flags?: number): Kernel {
    let done = false;
    const once = (given: number | undefined) => {
      if (done || (flags !== undefined && given !== flags)) return;
      done = true;
      act();
    };
    return {
      openat: (...args) => {
        if (call === "openat") once(args[2]);
        return real.openat(...args);
      },
      openat2: (...args) => {
        if (call === "openat2") once(args[2]);
        return real.openat2(...args);
      },
      renameat2: (...args) => {
        if (call === "renameat2") once(args[4]);
        return real.renameat2(...args);
      },
      unlinkat: (...args) => {
        if (call === "unlinkat") once(undefined);
        return real.unlinkat(...args);
      },
    };
  }

  function swapIn(make: (path: string) => void): () => void {
    return () => {
      renameSync(at("src/a.txt"), at("src/kept.txt"));
      make(at("src/a.txt"));
    };
  }
  const GUESTS: readonly (readonly [what: string, make: (path: string) => void, seen: string])[] = [
    ["another file", (path) => writeFileSync(path, "theirs"), "theirs"],
    ["a link to a file outside", (path) => symlinkSync(join(outside, "b.txt"), path), "outside"],
  ];
  for (const [what, make, seen] of GUESTS) {
    test(`an overwrite spares ${what} that slipped in`, async () => {
      const host = hostWith({ kernel: before("renameat2", swapIn(make), RENAME.EXCHANGE) });
      const { err, effect } = await perform(host, WRITE);
      expect([err, effect.reached]).toEqual(["conflict", "none"]);
      expect([readFileSync(at("src/a.txt"), "utf8"), readFileSync(at("src/kept.txt"), "utf8")]).toEqual([
        seen,
        "before",
      ]);
      expect(readdirSync(at("src")).sort()).toEqual(["a.txt", "deep", "kept.txt"]);
      expect(readFileSync(join(outside, "b.txt"), "utf8")).toBe("outside");
    });

    test(`a delete spares ${what} that slipped in`, async () => {
      const host = hostWith({ kernel: before("renameat2", swapIn(make), RENAME.NOREPLACE) });
      const { err, effect } = await perform(host, { operation: "delete" });
      expect([err, effect.reached]).toEqual(["conflict", "none"]);
      expect(readFileSync(at("src/a.txt"), "utf8")).toBe(seen);
      expect(readdirSync(at("src")).sort()).toEqual(["a.txt", "deep", "kept.txt"]);
    });
  }

  test("content that changed in place since it was read is neither replaced nor deleted", async () => {
    const change = () => writeFileSync(at("src/a.txt"), "theirs");
    const late = hostWith({ kernel: before("renameat2", change, RENAME.EXCHANGE) });
    expect((await perform(late, WRITE)).err).toBe("conflict");
    expect(readFileSync(at("src/a.txt"), "utf8")).toBe("theirs");
    writeFileSync(at("src/a.txt"), "before");
    const gone = hostWith({ kernel: before("renameat2", change, RENAME.NOREPLACE) });
    expect((await perform(gone, { operation: "delete" })).err).toBe("conflict");
    expect([readFileSync(at("src/a.txt"), "utf8"), readdirSync(at("src")).sort()]).toEqual([
      "theirs",
      ["a.txt", "deep"],
    ]);
  });

  test("content that changed while the new one was written is a conflict, whatever its time stamp says", async () => {
    const stamp = new Date("2020-01-01T00:00:00Z");
    utimesSync(at("src/a.txt"), stamp, stamp);
    const host = hostWith({
      io: {
        ...pooledFileIo,
        sync: async (fd) => {
          writeFileSync(at("src/a.txt"), "theirs");
          utimesSync(at("src/a.txt"), stamp, stamp);
          await pooledFileIo.sync(fd);
        },
      },
    });
    const { err, effect } = await perform(host, WRITE);
    expect([err, effect.reached, readFileSync(at("src/a.txt"), "utf8")]).toEqual([
      "conflict",
      "none",
      "theirs",
    ]);
    expect(readdirSync(at("src")).sort()).toEqual(["a.txt", "deep"]);
  });

  test("a target that vanished is a conflict and is not made anew", async () => {
    const host = hostWith({ kernel: before("renameat2", () => rmSync(at("src/a.txt")), RENAME.EXCHANGE) });
    expect((await perform(host, WRITE)).err).toBe("conflict");
    expect(readdirSync(at("src"))).toEqual(["deep"]);
  });

  test("a name taken just before a create is left alone", async () => {
    const take = () => symlinkSync(join(outside, "b.txt"), at("src/new.txt"));
    const host = hostWith({ kernel: before("renameat2", take, RENAME.NOREPLACE) });
    const { err, effect } = await perform(host, { ...CREATE, path: "src/new.txt" });
    expect([err, effect.reached, readFileSync(join(outside, "b.txt"), "utf8")]).toEqual([
      "already_exists",
      "none",
      "outside",
    ]);
    expect(readdirSync(at("src")).sort()).toEqual(["a.txt", "deep", "new.txt"]);
  });

  test("a reader never gets bytes from outside while a folder and a link trade places", async () => {
    symlinkSync(outside, at("src/link"));
    const stop = new Int32Array(new SharedArrayBuffer(8));
    const trader = new Worker(new URL("./n24-trader.ts", import.meta.url));
    trader.postMessage({ stop, deep: at("src/deep"), link: at("src/link"), spare: at("src/spare") });
    while (Atomics.load(stop, 1) === 0) await new Promise((next) => setImmediate(next));
    const host = hostWith();
    const seen = new Set<string>();
    for (let i = 0; i < 1000 || !seen.has("symlink_escape"); i++) {
      const { err, content } = await perform(host, { path: "src/deep/b.txt" });
      seen.add(err ?? content ?? "");
    }
    const stopped = new Promise((resolve) => trader.addEventListener("message", resolve, { once: true }));
    Atomics.store(stop, 0, 1);
    await stopped;
    trader.terminate();
    expect(seen.has("outside")).toBe(false);
    for (const outcome of seen)
      expect(["inside", "symlink_escape", "path_not_found", "io_error"]).toContain(outcome);
  });
});
