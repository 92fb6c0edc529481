import { existsSync, readFileSync } from "node:fs";

/** A command line that traces these system calls of every thread and child into a file, and injects faults. */
export function strace(
  log: string,
  calls: string,
  options: { readonly inject?: string; readonly decode?: boolean; readonly path?: string } = {},
): string[] {
  return [
    "strace",
    "--follow-forks",
    // Stops at the traced calls alone; a signal can't be injected at such a stop.
    ...(options.inject?.includes(":signal=") ? [] : ["--seccomp-bpf"]),
    "--quiet=all",
    "--string-limit=32",
    "--signal=none",
    ...(options.decode === true ? ["--decode-fds=all"] : []),
    // Only calls on this file are traced, counted and tampered with.
    ...(options.path === undefined ? [] : [`--trace-path=${options.path}`]),
    `--trace=${calls}`,
    ...(options.inject === undefined ? [] : [`--inject=${options.inject}`]),
    `--output=${log}`,
    "--",
  ];
}

/** Lines of a trace, in the order in which the kernel saw the calls begin. */
export function traced(log: string): string[] {
  return existsSync(log)
    ? readFileSync(log, "utf8")
        .split("\n")
        .filter((line) => line !== "")
    : [];
}

const SYNC = /^(\d+) +f(?:data)?sync\(/;

/** How often the busiest thread made a call (the ledger's, for syncs and writes): what `when=` of an injection counts. */
export function madeCalls(log: string, call = SYNC): number {
  const perThread = new Map<string, number>();
  for (const line of traced(log)) {
    const thread = call.exec(line)?.[1];
    if (thread !== undefined) perThread.set(thread, (perThread.get(thread) ?? 0) + 1);
  }
  return Math.max(0, ...perThread.values());
}
