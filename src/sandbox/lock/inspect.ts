import { readdirSync, readFileSync } from "node:fs";
import type { Layer } from "./layers.ts";

/** linux/seccomp.h, SECCOMP_MODE_FILTER. */
const FILTERED = "2";

/**
 * Looks at a runner from outside, as the kernel shows it (proc(5)): what the runner says of itself is no proof. Gives
 * the layers that are not in force on each of its threads; those that the kernel shows to nobody else are left to the
 * runner. Throws when the process is gone.
 */
export function unlockedLayers(pid: number): readonly Layer[] {
  // A container may have filters of its own on everything in it, the gate included.
  const inherited = Number(statusOf(process.pid, String(process.pid))?.get("Seccomp_filters") ?? 0);
  const threads = readdirSync(`/proc/${pid}/task`).flatMap((thread) => statusOf(pid, thread) ?? []);
  const all = (name: string, value: string) =>
    threads.length > 0 && threads.every((status) => status.get(name) === value);
  const missing: Layer[] = [];
  if (!hasLimits(pid)) missing.push("limits");
  if (!all("NoNewPrivs", "1")) missing.push("no_new_privileges");
  // Kernels before 5.9 do not count filters.
  const ownFilter = threads.every((status) => {
    const count = status.get("Seccomp_filters");
    return count === undefined || Number(count) > inherited;
  });
  if (!all("Seccomp", FILTERED) || !ownFilter) missing.push("system_calls");
  return missing;
}

/** Null for a thread that has ended meanwhile. */
function statusOf(pid: number, thread: string): ReadonlyMap<string, string> | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/task/${thread}/status`, "latin1");
  } catch {
    return null;
  }
  return new Map(
    text.split("\n").map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    }),
  );
}

function hasLimits(pid: number): boolean {
  const text = readFileSync(`/proc/${pid}/limits`, "latin1");
  const hard = (name: string) => new RegExp(`^${name} +\\S+ +(\\S+)`, "m").exec(text)?.[1];
  return (
    hard("Max file size") === "0" &&
    hard("Max core file size") === "0" &&
    Number(hard("Max open files")) <= 16 &&
    Number.isSafeInteger(Number(hard("Max address space")))
  );
}
