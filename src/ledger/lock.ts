import { dlopen } from "bun:ffi";
import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { LedgerError } from "./errors.ts";

const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * Takes the exclusive lock of a ledger: flock(2) on `ledger.lock` beside it, held for the life of the process and
 * released by the kernel however it ends. A second gate, whatever its environment, is told who holds it.
 */
export function lockLedger(path: string): { release(): void } {
  const libc = dlopen("libc.so.6", { flock: { args: ["i32", "i32"], returns: "i32" } });
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  if (libc.symbols.flock(fd, LOCK_EX | LOCK_NB) !== 0) {
    const holder = readFileSync(path, "utf8").slice(0, 32).trim();
    closeSync(fd);
    throw new LedgerError("ledger_locked", `another process holds this ledger (pid ${holder || "unknown"})`, {
      hint: "use the gate that runs, or stop it first",
    });
  }
  ftruncateSync(fd, 0);
  writeSync(fd, `${process.pid}\n`, 0);
  return { release: () => closeSync(fd) };
}
