import type { Execution } from "./execution.ts";
import { FairQueue } from "./fair-queue.ts";
import type { IngestedComponent } from "./ingest.ts";
import type { RunnerProcess } from "./runner-process.ts";

export interface GroupLimits {
  /** Calls that one runner has at a time, waiting ones included. */
  readonly maxInFlight: number;
  /** Those of them that do not wait for the host: they share one thread. */
  readonly maxRunning: number;
  /** How long a runner may compute without a word before new calls go elsewhere, milliseconds. */
  readonly stallMs: number;
  /** Calls after which a runner is replaced. */
  readonly recycleAfter: number;
}

/** How long a runner that was added in need stays without a call, milliseconds. */
const SURPLUS_MS = 5_000;

/** Runners that may be given the same calls, and the calls that wait for one of them. */
export class RunnerGroup {
  /** `builtin`, or the digest of an operator's component. */
  readonly name: string;
  /** Null for the built-in components. */
  readonly tenant: string | null;
  readonly size: number;
  readonly components: IngestedComponent[] = [];
  /** Runners that are ready. */
  readonly runners: RunnerProcess[] = [];
  /** Runners that take no more calls and end with their last one. */
  readonly leaving = new Set<RunnerProcess>();
  /** Runners that are on their way. */
  starting = 0;
  readonly queue = new FairQueue<Execution>();
  /** Since when it has waited for its first runner; null when it does not. */
  wantsSince: number | null = null;
  /** When it got the runner that it has had the longest. */
  runsSince = 0;
  private readonly limits: GroupLimits;

  constructor(name: string, tenant: string | null, size: number, limits: GroupLimits) {
    this.name = name;
    this.tenant = tenant;
    this.size = size;
    this.limits = limits;
  }

  /** The runner for the next call: the one that has the least to do; null when all have enough, or compute. */
  choose(now: number): RunnerProcess | null {
    let best: RunnerProcess | null = null;
    for (const runner of this.runners) {
      if (runner.inFlight >= this.limits.maxInFlight || runner.running >= this.limits.maxRunning) continue;
      if (runner.isStalled(now, this.limits.stallMs)) continue;
      if (
        best === null ||
        runner.running < best.running ||
        (runner.running === best.running && runner.inFlight < best.inFlight)
      )
        best = runner;
    }
    return best;
  }

  /** Whether more runners would help: every one that it has computes without a word. */
  isStalled(now: number): boolean {
    return (
      this.runners.length > 0 && this.runners.every((runner) => runner.isStalled(now, this.limits.stallMs))
    );
  }

  get isIdle(): boolean {
    return (
      this.queue.length === 0 &&
      this.starting === 0 &&
      this.leaving.size === 0 &&
      this.runners.every(({ inFlight }) => inFlight === 0)
    );
  }

  /** Calls that its runners have not let go of. */
  get inFlight(): number {
    return this.runners.reduce((sum, { inFlight }) => sum + inFlight, 0);
  }

  add(runner: RunnerProcess, now: number): void {
    if (this.runners.length === 0) this.runsSince = now;
    this.wantsSince = null;
    this.runners.push(runner);
  }

  leaveQueue(execution: Execution): void {
    this.queue.remove(execution);
    if (this.queue.length === 0) this.wantsSince = null;
  }

  /** Takes runners that have served their time out of `runners`; they end with their last call. */
  release(now: number): void {
    for (const runner of [...this.runners]) {
      const surplus = this.runners.length > this.size && runner.isQuiet(now, SURPLUS_MS);
      if (runner.served >= this.limits.recycleAfter || surplus) this.retire(runner);
    }
  }

  /** Its runners take no more calls and end with their last one. */
  retireAll(): void {
    for (const runner of [...this.runners]) this.retire(runner);
  }

  /** Whether the runner was one of this group. */
  remove(runner: RunnerProcess): boolean {
    const left = this.leaving.delete(runner);
    const at = this.runners.indexOf(runner);
    if (at >= 0) this.runners.splice(at, 1);
    return left || at >= 0;
  }

  private retire(runner: RunnerProcess): void {
    this.remove(runner);
    this.leaving.add(runner);
    runner.retireWhenFree();
  }
}
