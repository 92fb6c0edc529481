import { FairQueue } from "../core/fair-queue.ts";
import type { Execution } from "./execution.ts";
import type { IngestedComponent } from "./ingest.ts";
import { Place } from "./place.ts";
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
  /** Calls that wait for a runner. */
  readonly queueLimit: number;
}

/** How long a runner that was added in need stays without a call, milliseconds. */
const SURPLUS_MS = 5_000;

/**
 * How many places of the queue, or of the runners, a tenant may have for each that is free: what is left shrinks as they
 * fill, and is never all taken by one (dynamic thresholds: Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2),
 * 1998).
 */
const PLACES_PER_FREE_ONE = 8;

/** How long after a tenant has asked the others leave places in the runners for it, milliseconds. */
const SHARED_MS = 60_000;

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
  /** Calls that have been promised a place and have not come yet. */
  private reserved = 0;
  /** The same, by tenant; none is zero. */
  private readonly promised = new Map<string, number>();
  /** Calls that wait or are in a runner, by tenant; none is zero. Not counted where there is one tenant only. */
  private readonly calls = new Map<string, number>();
  private lastAsker: string | null = null;
  /** When one tenant last asked after another. */
  private sharedAt = Number.NEGATIVE_INFINITY;

  constructor(name: string, tenant: string | null, size: number, limits: GroupLimits) {
    this.name = name;
    this.tenant = tenant;
    this.size = size;
    this.limits = limits;
  }

  /**
   * A place for one more call, beside those that wait and those that were promised one; null when there is none, or
   * when what is left is for other tenants.
   */
  reserve(tenant: string, now: number): Place | null {
    const promised = this.promised.get(tenant) ?? 0;
    const own = this.queue.lengthOf(tenant) + promised;
    const taken = this.queue.length + this.reserved;
    let free = this.limits.queueLimit - taken;
    // Only who finds the queue promised away need ask what the runners would take.
    if (own >= PLACES_PER_FREE_ONE * free) {
      const room = this.mayGo(tenant, now)
        ? this.runners.reduce((sum, runner) => sum + this.room(runner, now), 0)
        : 0;
      free += room;
      if (free <= 0 || (taken >= room && own >= PLACES_PER_FREE_ONE * free)) return null;
    }
    this.promise(tenant, 1);
    return new Place(() => this.promise(tenant, -1));
  }

  private promise(tenant: string, change: number): void {
    this.reserved += change;
    const promised = (this.promised.get(tenant) ?? 0) + change;
    if (promised === 0) this.promised.delete(tenant);
    else this.promised.set(tenant, promised);
  }

  /** How many more calls a runner takes at this moment. */
  private room(runner: RunnerProcess, now: number): number {
    const { maxInFlight, maxRunning, stallMs } = this.limits;
    if (runner.isStalled(now, stallMs)) return 0;
    return Math.max(0, Math.min(maxInFlight - runner.inFlight, maxRunning - runner.running));
  }

  /** The runner for the next call: the one that has the least to do; null when all have enough, or compute. */
  choose(now: number): RunnerProcess | null {
    let best: RunnerProcess | null = null;
    for (const runner of this.runners) {
      if (this.room(runner, now) === 0) continue;
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

  /** A call waits from here on, until it is {@link next}. */
  enter(execution: Execution, now: number): void {
    const { tenant } = execution;
    this.queue.push(execution);
    if (this.tenant !== null) return;
    this.calls.set(tenant, (this.calls.get(tenant) ?? 0) + 1);
    if (tenant === this.lastAsker) return;
    if (this.lastAsker !== null) this.sharedAt = now;
    this.lastAsker = tenant;
  }

  /** The call that is given to a runner next; undefined when those that wait are over their share of the runners. */
  next(now: number): Execution | undefined {
    return this.queue.shift((tenant) => this.mayGo(tenant, now));
  }

  /** A call that entered is over. */
  leave(execution: Execution): void {
    const { tenant } = execution;
    this.queue.remove(execution);
    if (this.queue.length === 0) this.wantsSince = null;
    const left = (this.calls.get(tenant) ?? 0) - 1;
    if (left > 0) this.calls.set(tenant, left);
    else this.calls.delete(tenant);
  }

  /** Whether one more call of this tenant leaves the others, while they ask, something of the runners. */
  private mayGo(tenant: string, now: number): boolean {
    if (now - this.sharedAt > SHARED_MS) return true;
    const free = this.runners.length * this.limits.maxInFlight - this.inFlight;
    const own = (this.calls.get(tenant) ?? 0) - this.queue.lengthOf(tenant);
    return own < PLACES_PER_FREE_ONE * free;
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
