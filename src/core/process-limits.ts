import { dlopen, ptr } from "bun:ffi";
import { readFileSync } from "node:fs";

/** glibc, musl. */
const LIBRARIES = ["libc.so.6", "/lib/ld-musl-x86_64.so.1", "/lib/ld-musl-aarch64.so.1"];
const PAGE_BYTES = 4096;
// asm-generic/resource.h
const RLIMIT_CORE = 4;
const RLIMIT_AS = 9;

/** No core file of this process, or of what it starts from now on, tells what was in its memory. Throws if it can't be. */
export function forbidCoreFiles(): void {
  limit(RLIMIT_CORE, 0);
}

/** Takes further memory from this process for good, beyond so many bytes. Throws when the limit does not take. */
export function limitFurtherMemory(bytes: number): void {
  limit(RLIMIT_AS, addressSpaceBytes() + bytes);
}

function limit(resource: number, bytes: number): void {
  const libc = openLibc();
  // struct rlimit: soft and hard.
  const pair = BigUint64Array.of(BigInt(bytes), BigInt(bytes));
  const result = libc.symbols.setrlimit(resource, ptr(pair));
  libc.close();
  if (result !== 0) throw new Error(`the process limit ${resource} did not take`);
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
