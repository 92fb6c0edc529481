import { addressSpacePages } from "../lock/lock.ts";

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
