import { assemble, DATA, type Step, VERDICT } from "./bpf.ts";
import { type SystemCall, X64 } from "./system-calls.ts";

/** linux/audit.h, AUDIT_ARCH_X86_64. */
const ARCH_X64 = 0xc000_003e;
/** Numbers from here on are the x32 interface, whose calls the table does not name. */
const X32_BIT = 0x4000_0000;

const EPERM = 1;
const EINVAL = 22;
const ENOSYS = 38;
const PROT_EXEC = 4;
const PR_SET_NAME = 15;
/** What glibc's pthread_create passes: CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS, PARENT_SETTID, CHILD_CLEARTID. */
const THREAD_FLAGS = 0x3d_0f00;

/** What the engine needs while it compiles and runs modules, collects garbage and speaks over its pipe. */
const ALLOWED: readonly SystemCall[] = [
  "futex",
  "recvfrom",
  "sendto",
  "epoll_pwait2",
  // Before Linux 5.11.
  "epoll_pwait",
  "madvise",
  "munmap",
  "sched_yield",
  "rt_sigprocmask",
  "getpid",
  "gettid",
  "getrandom",
  "rseq",
  "set_robust_list",
  "sched_getaffinity",
  // A thread that may not end asks again for ever: helper threads of the engine end when they have been idle.
  "exit",
  "exit_group",
  "epoll_ctl",
  "read",
  "write",
  "close",
  "rt_sigreturn",
  // How the collector's thread stops another, also when a runner has been idle for ten seconds.
  "rt_sigsuspend",
  "clock_gettime",
  "gettimeofday",
  "getcpu",
  "brk",
  "restart_syscall",
];

/** Asked for now and then by the engine or the C library, which go on without: the rest of the filter kills. */
const REFUSED: readonly SystemCall[] = [
  "openat",
  "open",
  "setsockopt",
  "getsockopt",
  "shutdown",
  "newfstatat",
  "fstat",
  "statx",
  "readlink",
  "readlinkat",
  "prlimit64",
  "getrusage",
  "sysinfo",
  "ioctl",
  "fcntl",
  "lseek",
  "socketpair",
  "pipe2",
  "dup",
  "mremap",
  "rt_sigaction",
  "sigaltstack",
];

/**
 * The filter of a runner. `otherwise` is the verdict on everything that no rule names: {@link VERDICT.killProcess} in
 * a runner, an errno in the probe, which has to live on to try the next thing. Nothing else depends on it, and only
 * the last instruction of the program holds it.
 * @param pid of the process that it is for: it may signal its own threads.
 */
export function runnerFilter(pid: number, otherwise: number): Uint8Array<ArrayBuffer> {
  const number = (call: SystemCall, go: string): Step => ({ when: "equal", k: X64[call], go });
  return assemble([
    { load: DATA.arch },
    // A call by another interface has other numbers. It can't be tried from here, so it is death in the probe too.
    { when: "different", k: ARCH_X64, go: "kill" },
    { load: DATA.number },
    { when: "atLeast", k: X32_BIT, go: "otherwise" },
    ...ALLOWED.map((call) => number(call, "allow")),
    number("mmap", "no new code"),
    number("mprotect", "no new code"),
    number("clone", "a thread"),
    number("prctl", "a name"),
    number("tgkill", "itself"),
    // The C library falls back on clone, whose flags can be read.
    number("clone3", "unknown"),
    ...REFUSED.map((call) => number(call, "refuse")),
    // A jump over everything that can only be entered by name.
    { when: "atLeast", k: 0, go: "otherwise" },
    { label: "no new code" },
    { load: DATA.low(2) },
    { when: "anyBit", k: PROT_EXEC, go: "otherwise" },
    { verdict: VERDICT.allow },
    { label: "a thread" },
    { load: DATA.high(0) },
    { when: "different", k: 0, go: "otherwise" },
    { load: DATA.low(0) },
    { when: "equal", k: THREAD_FLAGS, go: "allow" },
    { when: "atLeast", k: 0, go: "otherwise" },
    { label: "a name" },
    { load: DATA.low(0) },
    { when: "equal", k: PR_SET_NAME, go: "allow" },
    { verdict: VERDICT.errno(EINVAL) },
    { label: "itself" },
    { load: DATA.low(0) },
    { when: "different", k: pid, go: "otherwise" },
    { label: "allow" },
    { verdict: VERDICT.allow },
    { label: "refuse" },
    { verdict: VERDICT.errno(EPERM) },
    { label: "unknown" },
    { verdict: VERDICT.errno(ENOSYS) },
    { label: "kill" },
    { verdict: VERDICT.killProcess },
    { label: "otherwise" },
    { verdict: otherwise },
  ]);
}
