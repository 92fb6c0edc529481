import { ptr } from "bun:ffi";
import type { Kernel } from "./kernel.ts";
import { type SystemCall, X64 } from "./system-calls.ts";

/** How the filter answers an act: with its verdict on everything unnamed, or with an errno of its own. */
export type Answer = "otherwise" | "EPERM" | "EINVAL" | "ENOSYS";

/**
 * Something that code which got out of WebAssembly would try. The arguments are such that without the filter the
 * kernel would answer something else: it would do it, or refuse for another reason.
 */
export interface ForbiddenAct {
  readonly name: string;
  readonly number: number;
  readonly answer: Answer;
  readonly args: readonly (number | bigint)[];
  /** To be tried in a process that tries nothing else. */
  readonly alone?: true;
}

const ROOT = Buffer.from("/\0");
const NOWHERE = Buffer.from("/nowhere/at/all\0");
const NO_FILE = -1;
const AT_FDCWD = -100;
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SIGCHLD = 17;
const PROT_ALL = 7;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const PTRACE_PEEKDATA = 2;
const PR_SET_DUMPABLE = 4;
const PR_SET_SECCOMP = 22;
const X32_BIT = 0x4000_0000;

/** @param parent process id of the gate, which a runner must not reach. */
export function forbiddenActs(parent: number): readonly ForbiddenAct[] {
  const root = ptr(ROOT);
  const nowhere = ptr(NOWHERE);
  const act = (name: SystemCall, ...args: readonly (number | bigint)[]): ForbiddenAct => ({
    name,
    number: X64[name],
    answer: "otherwise",
    args,
  });
  const answered = (answer: Answer, given: ForbiddenAct): ForbiddenAct => ({ ...given, answer });
  return [
    answered("EPERM", act("open", root, 0)),
    answered("EPERM", act("openat", AT_FDCWD, root, 0)),
    act("openat2", NO_FILE, root, 0, 0),
    act("open_by_handle_at", NO_FILE, 0, 0),
    act("name_to_handle_at", AT_FDCWD, root, 0, 0, 0),
    act("creat", nowhere, 0o600),
    act("mkdir", nowhere, 0o700),
    act("unlink", nowhere),
    act("rename", nowhere, nowhere),
    act("link", nowhere, nowhere),
    act("symlink", nowhere, nowhere),
    act("chmod", nowhere, 0),
    act("chroot", nowhere),
    act("pivot_root", nowhere, nowhere),
    act("mount", nowhere, nowhere, 0, 0, 0),
    act("umount2", nowhere, 0),
    act("socket", AF_UNIX, SOCK_STREAM, 0),
    act("connect", NO_FILE, 0, 0),
    act("bind", NO_FILE, 0, 0),
    act("listen", NO_FILE, 0),
    act("accept4", NO_FILE, 0, 0, 0),
    // Descriptors can be sent and received with these.
    act("sendmsg", NO_FILE, 0, 0),
    act("recvmsg", NO_FILE, 0, 0),
    answered("EPERM", act("pipe2", ptr(new Int32Array(2)), 0)),
    answered("EPERM", act("dup", 1)),
    act("dup2", 1, 1),
    act("dup3", NO_FILE, NO_FILE, 0),
    act("execve", nowhere, 0, 0),
    act("execveat", NO_FILE, nowhere, 0, 0, 0),
    answered("ENOSYS", act("clone3", 0, 0)),
    act("clone", SIGCHLD, 0, 0, 0, 0),
    act("fork"),
    act("ptrace", PTRACE_PEEKDATA, parent, 0, 0),
    act("process_vm_readv", parent, 0, 0, 0, 0, 0),
    act("process_vm_writev", parent, 0, 0, 0, 0, 0),
    act("kill", parent, 0),
    act("tkill", parent, 0),
    act("tgkill", parent, parent, 0),
    act("pidfd_open", parent, 0),
    act("pidfd_getfd", NO_FILE, 0, 0),
    act("pidfd_send_signal", NO_FILE, 0, 0, 0),
    act("unshare", 0),
    act("setns", NO_FILE, 0),
    act("setresuid", -1, -1, -1),
    act("capset", 0, 0),
    act("personality", 0xffff_ffff),
    answered("EINVAL", act("prctl", PR_SET_DUMPABLE, 1)),
    { ...answered("EINVAL", act("prctl", PR_SET_SECCOMP, 0)), name: "prctl for seccomp" },
    act("seccomp", 0, 1, 0),
    answered("EPERM", act("prlimit64", 0, 0, 0, 0)),
    act("memfd_create", root, 0),
    act("mmap", 0, 4096, PROT_ALL, MAP_PRIVATE_ANONYMOUS, -1, 0),
    act("mprotect", 0, 0, PROT_ALL),
    act("pkey_mprotect", 0, 0, PROT_ALL, -1),
    act("io_uring_setup", 1, 0),
    act("bpf", 0, 0, 0),
    act("userfaultfd", 0),
    act("perf_event_open", 0, 0, 0, 0, 0),
    act("keyctl", 0, 0, 0),
    act("add_key", 0, 0, 0, 0, 0),
    act("request_key", 0, 0, 0, 0),
    act("fanotify_init", 0, 0),
    act("init_module", 0, 0, 0),
    act("finit_module", NO_FILE, 0, 0),
    act("kexec_load", 0, 0, 0, 0),
    act("reboot", 0, 0, 0, 0),
    act("modify_ldt", 0, 0, 0),
    act("ioperm", 0, 0, 0),
    act("clock_settime", 0, 0),
    act("shmget", 0, 0, 0),
    act("mq_open", 0, 0, 0, 0),
    { name: "x32 getpid", number: X64.getpid | X32_BIT, answer: "otherwise", args: [] },
    // Where it works the child borrows the stack, and nothing after it can be relied on.
    { ...act("vfork"), alone: true },
  ];
}

const FORKS: ReadonlySet<number> = new Set([X64.clone, X64.fork, X64.vfork]);

/** The acts of one try: the named one, or all that can be tried together. */
export function chosenActs(parent: number, only: string | null): readonly ForbiddenAct[] {
  return forbiddenActs(parent).filter(({ name, alone }) => (only === null ? alone !== true : name === only));
}

/** Tries it; the result, or the negative errno. */
export function attempt(kernel: Kernel, { number, args }: ForbiddenAct): number {
  const result = kernel(number, ...args);
  // A child that should not be there ends before it does anything.
  if (result === 0 && FORKS.has(number)) kernel(X64.exit_group, 0);
  return result;
}

/** What async file calls try from a thread of the runtime's pool, which is older than the lock. */
export const POOL_ACTS = {
  readFile: "EPERM",
  mkdir: "otherwise",
  symlink: "otherwise",
  rename: "otherwise",
  unlink: "otherwise",
} as const satisfies Record<string, Answer>;
export type PoolAct = keyof typeof POOL_ACTS;

export const THREADS = ["main", "pool", "worker"] as const;
export type Thread = (typeof THREADS)[number];
