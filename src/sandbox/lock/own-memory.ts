import { forbidCoreFiles } from "../../core/process-limits.ts";
import { openKernel } from "./kernel.ts";
import { X64 } from "./system-calls.ts";

const PR_GET_DUMPABLE = 3;
const PR_SET_DUMPABLE = 4;

/**
 * Closes this process's memory to other programs of its own account, as far as the kernel can: no ptrace, no reading
 * of its memory, environment or descriptors through /proc or pidfd (PR_SET_DUMPABLE, prctl(2)), no core dump of it or
 * of what it starts. Root stays able to. The kernel undoes the first at an exec, so that a child begins anew. Does
 * nothing where the sandbox has no lock either; throws where it should work and does not.
 */
export function closeOwnMemory(): void {
  if (process.platform !== "linux" || process.arch !== "x64") return;
  forbidCoreFiles();
  const kernel = openKernel();
  const closed = kernel(X64.prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
  if (closed !== 0 || kernel(X64.prctl, PR_GET_DUMPABLE, 0, 0, 0, 0) !== 0)
    throw new Error(`the gate's memory can't be closed to other programs: ${closed}`);
}
