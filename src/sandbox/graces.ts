import { processorTimeMs } from "./processor-time.ts";

/** How many times its grace a runner has at most to let go of a call. */
const LONGEST_GRACES = 20;

/**
 * How long a runner has to let go of each cancelled call. A guest that spins keeps its runner from hearing of it; but
 * one whose runner has hardly run since, for want of a processor, has not had its time yet, and its neighbours would
 * die for nothing.
 */
export class Graces {
  private readonly timers = new Map<number, ReturnType<typeof setTimeout>>();
  private readonly pid: number;
  private readonly graceMs: number;
  private readonly late: () => void;

  /** @param late called when a call's time is over; the runner is to be ended then. */
  constructor(pid: number, graceMs: number, late: () => void) {
    this.pid = pid;
    this.graceMs = graceMs;
    this.late = late;
  }

  begin(call: number): void {
    this.wait(call, processorTimeMs(this.pid), LONGEST_GRACES);
  }

  end(call: number): void {
    clearTimeout(this.timers.get(call));
    this.timers.delete(call);
  }

  clear(): void {
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
  }

  private wait(call: number, before: number | null, graces: number): void {
    const over = () => {
      const now = before === null || graces === 1 ? null : processorTimeMs(this.pid);
      if (before !== null && now !== null && now - before < this.graceMs / 2)
        this.wait(call, before, graces - 1);
      else this.late();
    };
    this.timers.set(call, setTimeout(over, this.graceMs));
  }
}
