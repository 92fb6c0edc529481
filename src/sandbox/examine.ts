import { systemClock } from "../core/clock.ts";
import type { Layer } from "./lock/layers.ts";
import { RunnerProcess } from "./runner-process.ts";

/**
 * Starts a runner as the gate does, asks it and the kernel which layers of its lock are not in force, and ends it.
 * Throws when it does not start at all.
 */
export async function examineRunner(self: readonly string[]): Promise<readonly Layer[]> {
  const options = {
    self,
    env: {},
    allowUnlocked: true,
    startTimeoutMs: 10_000,
    cancelGraceMs: 50,
    now: systemClock.monotonic,
    onRefused: () => undefined, // it is given no call
  };
  const runner = new RunnerProcess(options, () => undefined); // who waits for ready hears of it
  try {
    await runner.ready;
    return runner.missing;
  } finally {
    runner.lose("examined");
    await runner.exited;
  }
}
