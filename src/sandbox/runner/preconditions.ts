import { dlopen, FFIType } from "bun:ffi";
import { readFileSync } from "node:fs";

const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;

/**
 * Has the kernel kill this process when its parent ends. The end of the pipe says the same, but a guest that spins
 * keeps this process from ever reading it. Throws when the kernel refuses.
 */
export function dieWithParent(): void {
  const libc = dlopen("libc.so.6", {
    prctl: { args: [FFIType.i32, FFIType.u64, FFIType.u64, FFIType.u64, FFIType.u64], returns: FFIType.i32 },
  });
  const answer = libc.symbols.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  libc.close();
  if (answer !== 0) throw new Error("prctl refused to tie this process to its parent");
}

const FOUR_GIB_IN_PAGES = 2 ** 20;

/**
 * Checks that a memory takes the address space that it needs and no more. With the engine's fast memories each one
 * maps 4 GiB, only four may live at a time, and every further one forces a full collection: calls become some twenty
 * times slower, and an address-space limit becomes useless. Throws when they are on.
 */
export function requireSmallMemories(): void {
  const before = addressSpacePages();
  const memory = new WebAssembly.Memory({ initial: 1 });
  const grown = addressSpacePages() - before;
  if (memory.buffer.byteLength === 0 || grown >= FOUR_GIB_IN_PAGES)
    throw new Error("fast memories are on; a runner must be started with BUN_JSC_useWasmFastMemory=0");
}

/** Size of the address space, in pages of the system (proc(5), statm). */
function addressSpacePages(): number {
  const pages = Number(readFileSync("/proc/self/statm", "latin1").split(" ")[0]);
  if (!Number.isInteger(pages)) throw new Error("/proc/self/statm is not readable as expected");
  return pages;
}
