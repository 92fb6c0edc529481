import { ptr } from "bun:ffi";
import { closeSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { messageOf } from "../../core/errors.ts";
import { INSTRUCTION_BYTES } from "./bpf.ts";
import { runnerFilter } from "./filter.ts";
import { type Kernel, openKernel } from "./kernel.ts";
import { LAYERS, type Layer, type MissingLayer } from "./layers.ts";
import { X64 } from "./system-calls.ts";

/** Room that the engine's reservations leave for guests and their garbage, bytes. */
const ADDRESS_SPACE_ROOM = 2 * 2 ** 30;
/** Highest descriptor plus one; the engine has some of its own. */
const MOST_DESCRIPTORS = 16;

// linux/prctl.h
const PR_SET_PDEATHSIG = 1;
const PR_GET_PDEATHSIG = 2;
const PR_GET_DUMPABLE = 3;
const PR_SET_DUMPABLE = 4;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_GET_NO_NEW_PRIVS = 39;
const SIGKILL = 9;
// asm-generic/resource.h
const RLIMIT = { FSIZE: 1, CORE: 4, NOFILE: 7, AS: 9 } as const;
// linux/seccomp.h
const SECCOMP_SET_MODE_FILTER = 1;
const SECCOMP_FILTER_FLAG_TSYNC = 1;
const PAGE_BYTES = 4096;

export interface LockOptions {
  /** Descriptors that stay open beside the runtime's own; 0 to 2 also where they are `/dev/null`. */
  readonly keep: readonly number[];
  /** Verdict on system calls outside of the list, see {@link runnerFilter}. */
  readonly otherwise: number;
}

/**
 * Locks this process, all its threads, for good: what it is able to do afterwards is in the filter. Every layer is
 * tried, whatever became of the one before, except that nothing follows a filter that is in force. Returns the layers
 * that are not in force; whether to go on without one is not decided here.
 */
export function lockProcess(options: LockOptions): readonly MissingLayer[] {
  let kernel: Kernel;
  try {
    kernel = openKernel();
  } catch (error) {
    const reason = messageOf(error);
    return LAYERS.map((layer) => ({ layer, reason }));
  }
  const missing: MissingLayer[] = [];
  for (const layer of LAYERS) {
    try {
      STEPS[layer](kernel, options);
    } catch (error) {
      missing.push({ layer, reason: messageOf(error) });
    }
  }
  return missing;
}

const STEPS: Readonly<Record<Layer, (kernel: Kernel, options: LockOptions) => void>> = {
  /** The end of the pipe says the same, but a guest that spins keeps this process from ever reading it. */
  dies_with_parent(kernel) {
    did("PR_SET_PDEATHSIG", kernel(X64.prctl, PR_SET_PDEATHSIG, SIGKILL));
    const now = new Int32Array(1);
    did("PR_GET_PDEATHSIG", kernel(X64.prctl, PR_GET_PDEATHSIG, ptr(now)));
    if (now[0] !== SIGKILL) throw new Error("it did not take");
  },
  descriptors: (_kernel, { keep }) => closeInherited(keep),
  limits: setLimits,
  /** Of this thread; the filter takes it to all the others. */
  no_new_privileges(kernel) {
    did("PR_SET_NO_NEW_PRIVS", kernel(X64.prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    if (kernel(X64.prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) !== 1) throw new Error("it did not take");
  },
  not_dumpable(kernel) {
    did("PR_SET_DUMPABLE", kernel(X64.prctl, PR_SET_DUMPABLE, 0));
    if (kernel(X64.prctl, PR_GET_DUMPABLE) !== 0) throw new Error("it did not take");
  },
  system_calls: installFilter,
};

function did(what: string, result: number): void {
  if (result !== 0) throw new Error(`${what} failed with errno ${-result}`);
}

/** The runtime's own descriptors are anonymous inodes; whatever else is open came from the parent. */
function closeInherited(keep: readonly number[]): void {
  for (const name of readdirSync("/proc/self/fd")) {
    const fd = Number(name);
    let target: string;
    try {
      target = readlinkSync(`/proc/self/fd/${name}`);
    } catch {
      continue; // the descriptor of the listing itself
    }
    if (keep.includes(fd) || target.startsWith("anon_inode:")) continue;
    if (fd <= 2) {
      if (target !== "/dev/null") throw new Error(`descriptor ${fd} is ${target}, not /dev/null`);
      continue;
    }
    closeSync(fd);
  }
}

function setLimits(kernel: Kernel): void {
  const set = (resource: number, value: number) => {
    // struct rlimit64: soft and hard.
    const pair = BigUint64Array.of(BigInt(value), BigInt(value));
    did(`setrlimit ${resource}`, kernel(X64.prlimit64, 0, resource, ptr(pair), 0));
    const now = new BigUint64Array(2);
    did(`getrlimit ${resource}`, kernel(X64.prlimit64, 0, resource, 0, ptr(now)));
    if (now[1] !== BigInt(value)) throw new Error(`limit ${resource} did not take`);
  };
  set(RLIMIT.AS, addressSpacePages() * PAGE_BYTES + ADDRESS_SPACE_ROOM);
  set(RLIMIT.CORE, 0);
  set(RLIMIT.FSIZE, 0);
  set(RLIMIT.NOFILE, MOST_DESCRIPTORS);
}

/** Size of the address space, in pages of the system (proc(5), statm). */
export function addressSpacePages(): number {
  const pages = Number(readFileSync("/proc/self/statm", "latin1").split(" ")[0]);
  if (!Number.isInteger(pages)) throw new Error("/proc/self/statm is not readable as expected");
  return pages;
}

/** TSYNC: on every thread there is, and by inheritance on every later one. */
function installFilter(kernel: Kernel, { otherwise }: LockOptions): void {
  const program = runnerFilter(process.pid, otherwise);
  // struct sock_fprog: the number of instructions, padding, and where they are.
  const header = new DataView(new ArrayBuffer(16));
  header.setUint16(0, program.byteLength / INSTRUCTION_BYTES, true);
  header.setBigUint64(8, BigInt(ptr(program)), true);
  const answer = kernel(
    X64.seccomp,
    SECCOMP_SET_MODE_FILTER,
    SECCOMP_FILTER_FLAG_TSYNC,
    ptr(new Uint8Array(header.buffer)),
  );
  if (answer > 0) throw new Error(`thread ${answer} can't take the filter`);
  did("seccomp", answer);
}
