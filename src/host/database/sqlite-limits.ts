import { dlopen, ptr } from "bun:ffi";
import { readFileSync } from "node:fs";
import { LIBRARIES } from "../fs/kernel.ts";

/** Room for one statement beside what the runtime has reserved at its start, bytes. */
const ROOM = 512 * 2 ** 20;
const PAGE_BYTES = 4096;
// asm-generic/resource.h
const RLIMIT_CORE = 4;
const RLIMIT_AS = 9;

/**
 * Takes from this process, for good, the memory that a statement has no use for: SQLite builds values of up to a
 * gigabyte, several at a time, and its own limits count nothing in this build. What does not fit ends the statement with
 * SQLITE_NOMEM, or the process. No core file tells of rows. Throws when a limit does not take.
 */
export function limitStatementProcess(): void {
  const libc = openLibc();
  const set = (resource: number, bytes: number) => {
    // struct rlimit: soft and hard.
    const pair = BigUint64Array.of(BigInt(bytes), BigInt(bytes));
    if (libc.symbols.setrlimit(resource, ptr(pair)) !== 0)
      throw new Error(`the limit ${resource} of the statement's process did not take`);
  };
  set(RLIMIT_AS, addressSpaceBytes() + ROOM);
  set(RLIMIT_CORE, 0);
}

function openLibc() {
  for (const library of LIBRARIES)
    try {
      return dlopen(library, { setrlimit: { args: ["i32", "ptr"], returns: "i32" } });
    } catch {} // the next one; none at all is told below
  throw new Error("libc cannot be loaded");
}

/** proc(5), statm: the first number is the size of the address space in pages. */
function addressSpaceBytes(): number {
  const pages = Number(readFileSync("/proc/self/statm", "latin1").split(" ")[0]);
  if (!Number.isInteger(pages)) throw new Error("/proc/self/statm is not readable as expected");
  return pages * PAGE_BYTES;
}
