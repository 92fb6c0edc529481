import {
  closeSync,
  fdatasyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeSync,
} from "node:fs";
import { availableParallelism, cpus, loadavg, release } from "node:os";
import { join } from "node:path";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly kernel: string;
  /** Of the minute before the run: above a few tenths somebody else was measured too. */
  readonly loadAverage: number;
  /** YYYY-MM-DD */
  readonly date: string;
  /** Of the ledger's folder. */
  readonly fileSystem: string;
  /** Median of 200 appends of 4 KiB, each synced; milliseconds. */
  readonly fdatasyncMs: number;
}

/** File systems that keep nothing: syncing there costs nothing and proves nothing. */
const VOLATILE: ReadonlySet<string> = new Set(["tmpfs", "ramfs", "rootfs"]);

/** Looks at the machine and at the disk under `folder`. Throws when the folder is in memory. */
export function describeMachine(folder: string): Machine {
  mkdirSync(folder, { recursive: true });
  const fileSystem = fileSystemOf(realpathSync(folder));
  if (VOLATILE.has(fileSystem))
    throw new Error(
      `${folder} is on ${fileSystem}, where nothing is durable; name a folder on a disk in LATCHGATE_BENCH_DIR`,
    );
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    kernel: release(),
    loadAverage: loadavg()[0] ?? Number.NaN,
    date: new Date().toISOString().slice(0, 10),
    fileSystem,
    fdatasyncMs: measureFdatasync(folder),
  };
}

/** The type of the mount that the path lies in, from proc_pid_mountinfo(5). */
export function fileSystemOf(path: string, mountinfo = readFileSync("/proc/self/mountinfo", "utf8")): string {
  let type = "unknown";
  let longest = -1;
  for (const line of mountinfo.split("\n")) {
    const [before = "", after = ""] = line.split(" - ");
    const mount = before
      .split(" ")[4]
      ?.replace(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8)));
    if (mount === undefined) continue;
    const prefix = mount.endsWith("/") ? mount : `${mount}/`;
    // A later mount over the same folder hides the one before.
    if (!`${path}/`.startsWith(prefix) || prefix.length < longest) continue;
    longest = prefix.length;
    type = after.split(" ")[0] ?? "unknown";
  }
  return type;
}

function measureFdatasync(folder: string): number {
  const path = join(folder, "fdatasync-probe");
  const page = Buffer.alloc(4096, 1);
  const times: number[] = [];
  const fd = openSync(path, "w");
  try {
    for (let i = 0; i < 200; i++) {
      writeSync(fd, page);
      const began = performance.now();
      fdatasyncSync(fd);
      times.push(performance.now() - began);
    }
  } finally {
    closeSync(fd);
    rmSync(path);
  }
  times.sort((a, b) => a - b);
  return times[times.length >> 1] ?? Number.NaN;
}
