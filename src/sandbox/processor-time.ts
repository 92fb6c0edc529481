import { readFileSync } from "node:fs";

/**
 * How long the main thread of a process has run on a processor, milliseconds (`/proc/PID/schedstat`). Null where the
 * kernel does not say, or no more.
 */
export function processorTimeMs(pid: number): number | null {
  try {
    const ms = Number(readFileSync(`/proc/${pid}/schedstat`, "latin1").split(" ")[0]) / 1e6;
    return Number.isFinite(ms) ? ms : null;
  } catch {
    return null;
  }
}
