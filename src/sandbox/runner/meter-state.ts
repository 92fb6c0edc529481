import type { ResourceUse } from "../protocol/message.ts";

/** Why the meter lets a call go no further. */
export type StopReason = "fuel_exhausted" | "deadline" | "cancelled";

export interface MeterLimits {
  readonly fuel: number;
  readonly memoryPages: number;
  /** On `now`, milliseconds. */
  readonly deadline: number;
}

/** Fuel that a module gets at a time: between two of its questions nothing else is looked at. */
const SLICE = 16_384;

/**
 * What one call may still use, and has used: what the metered modules of its instances ask through
 * `latchgate:meter`. Never throws: a guest may catch an exception, but not the trap that follows a refusal.
 */
export class MeterState {
  /** Set once; from then on every question is refused. */
  stopped: StopReason | null = null;
  /** The guest was refused memory; whether it lives on without is its own affair. */
  growDenied = false;
  private peakPages = 0;
  private remaining: number;
  private readonly limits: MeterLimits;
  private readonly now: () => number;
  /** Of each instance: what it has left of its slices. */
  private readonly lefts: (() => number)[] = [];

  constructor(limits: MeterLimits, now: () => number = () => performance.now()) {
    this.limits = limits;
    this.remaining = limits.fuel;
    this.now = now;
  }

  /** The import `refill`: the counter's value, below zero, in; its new value, or -1 for the end, out. */
  readonly refill = (counter: number): number => {
    if (!this.charge(-counter)) return -1;
    // Several modules of one component take slices: near the end smaller ones, so that none starves another.
    const slice = Math.min(SLICE, Math.floor(this.remaining / 8));
    this.remaining -= slice;
    return slice;
  };

  /**
   * The import `grow`: the pages that the guest sees, those it wants more (unsigned), those that there are, and the
   * most that its module declares; out the pages that there have to be, or -1. A memory that grows gets at least the
   * double while there is room, as growing copies it.
   */
  readonly grow = (pages: number, delta: number, real: number, declared: number): number => {
    const most = Math.min(declared, this.limits.memoryPages);
    const wanted = pages + (delta >>> 0);
    if (wanted > most) {
      this.growDenied = true;
      return -1;
    }
    this.peakPages = Math.max(this.peakPages, wanted);
    return wanted <= real ? real : Math.min(most, Math.max(wanted, real * 2));
  };

  /** Pays for work of the host on the guest's behalf. False when the call has to end, with the reason in `stopped`. */
  charge(units: number): boolean {
    if (this.stopped !== null) return false;
    if (this.now() >= this.limits.deadline) this.stopped = "deadline";
    else if (units > this.remaining) {
      this.remaining = 0;
      this.stopped = "fuel_exhausted";
    } else this.remaining -= units;
    return this.stopped === null;
  }

  cancel(): void {
    this.stopped ??= "cancelled";
  }

  /** An instance of the call, with the export that tells what it has left. */
  joined(left: () => number): void {
    this.lefts.push(left);
  }

  /** The memory that the guest starts with. */
  started(pages: number): void {
    this.peakPages = Math.max(this.peakPages, Math.min(pages, this.limits.memoryPages));
  }

  used(): ResourceUse {
    const left = this.stopped === "fuel_exhausted" ? 0 : this.left();
    return { fuel: this.limits.fuel - this.remaining - left, peakPages: this.peakPages };
  }

  private left(): number {
    let sum = 0;
    for (const left of this.lefts) sum += Math.max(0, left());
    return sum;
  }
}
