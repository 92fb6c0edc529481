import { dlopen } from "bun:ffi";
import { closeSync, constants, openSync } from "node:fs";
import { ClientError } from "./errors.ts";

const LOCK_EX = 2;
const LOCK_NB = 4;
const RETRY_MS = 5;
const LIBC = process.platform === "darwin" ? "libSystem.B.dylib" : "libc.so.6";

/**
 * Runs the work while this process holds flock(2) on the file, which the kernel lets go however the process ends.
 * It is asked for again and again and never waited for in the kernel: one thread may hold it in one call and want
 * it in another. Throws {@link ClientError} `state_locked` when it is not had within the limit.
 */
export async function withLock<T>(path: string, work: () => T | Promise<T>, limitMs = 60_000): Promise<T> {
  const libc = dlopen(LIBC, { flock: { args: ["i32", "i32"], returns: "i32" } });
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  try {
    const start = performance.now();
    while (libc.symbols.flock(fd, LOCK_EX | LOCK_NB) !== 0) {
      if (performance.now() - start > limitMs)
        throw new ClientError("state_locked", `another process has held ${path} for ${limitMs / 1000} s`, {
          hint: "a stopped latchgate process may hold it: fuser shows which",
        });
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
    return await work();
  } finally {
    closeSync(fd);
    libc.close();
  }
}
