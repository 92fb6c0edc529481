import { ptr } from "bun:ffi";
import { openKernel } from "./kernel.ts";
import { X64 } from "./system-calls.ts";

const PR_GET_DUMPABLE = 3;
const PR_SET_DUMPABLE = 4;
const RLIMIT_CORE = 4;

/**
 * Closes this process's memory to other programs of its own account, as far as the kernel can: no ptrace, no reading
 * of its memory, environment or descriptors through /proc or pidfd (PR_SET_DUMPABLE, prctl(2)), no core dump of it or
 * of what it starts. Root stays able to. The kernel undoes the first at an exec, so that a child begins anew. Does
 * nothing where the sandbox has no lock either; throws where it should work and does not.
 */
export function closeOwnMemory(): void {
  if (process.platform !== "linux" || process.arch !== "x64") return;
  const kernel = openKernel();
  // struct rlimit64: soft and hard.
  const none = BigUint64Array.of(0n, 0n);
  const limited = kernel(X64.prlimit64, 0, RLIMIT_CORE, ptr(none), 0);
  const closed = kernel(X64.prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
  if (limited !== 0 || closed !== 0 || kernel(X64.prctl, PR_GET_DUMPABLE, 0, 0, 0, 0) !== 0)
    throw new Error(`the gate's memory can't be closed to other programs: ${limited}, ${closed}`);
}
