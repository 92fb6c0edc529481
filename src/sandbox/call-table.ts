import type { Execution } from "./execution.ts";
import { ProtocolError } from "./protocol/frame.ts";

/** A call that is with the runner. */
export interface CallPlace {
  /** Null for a call that the gate is done with and the runner has not let go of yet. */
  execution: Execution | null;
  /** Whether it waits for the host. */
  waits: boolean;
  /** The channel's number of the last answer to it; 0 for none. */
  answer: number;
}

/** The calls that one runner has not let go of, by the ids that the gate gave them, and what they are doing. */
export class CallTable {
  private readonly places = new Map<number, CallPlace>();
  private readonly now: () => number;
  private waiting = 0;
  private last = 0;
  private count = 0;
  /** When the runner last said something, or began to have something to do. */
  private lastHeard = 0;

  /** @param now monotonic, milliseconds */
  constructor(now: () => number) {
    this.now = now;
  }

  get size(): number {
    return this.places.size;
  }

  /** Calls that do not wait for the host: they share the runner's one thread. */
  get running(): number {
    return this.places.size - this.waiting;
  }

  /** Calls that there ever were. */
  get served(): number {
    return this.count;
  }

  /** Whether something has computed for longer than that without a word. */
  isStalled(now: number, stallMs: number): boolean {
    return this.running > 0 && now - this.lastHeard > stallMs;
  }

  /** Whether there has been nothing to do for that long. */
  isQuiet(now: number, ms: number): boolean {
    return this.places.size === 0 && now - this.lastHeard > ms;
  }

  /** The runner said something. */
  heard(): void {
    this.lastHeard = this.now();
  }

  /** Gives the call an id that none of the others has; ids of calls that are over are not used again soon. */
  add(execution: Execution): number {
    do this.last = this.last === 0xffff_ffff ? 1 : this.last + 1;
    while (this.places.has(this.last));
    this.wakes();
    this.places.set(this.last, { execution, waits: false, answer: 0 });
    this.count++;
    return this.last;
  }

  find(call: number): CallPlace | undefined {
    return this.places.get(call);
  }

  /** Throws {@link ProtocolError} for an id that is not out. The runner may have made it up. */
  get(call: number): CallPlace {
    const place = this.places.get(call);
    if (place === undefined) throw new ProtocolError("frame for a call that is not in the runner");
    return place;
  }

  asked(place: CallPlace): void {
    this.waits(place, true);
  }

  /** From here on the call computes again, or lets go. */
  goesOn(place: CallPlace): void {
    this.wakes();
    this.waits(place, false);
  }

  remove(call: number, place: CallPlace): void {
    this.waits(place, false);
    this.places.delete(call);
  }

  /** Empties the table and gives the calls that were not over. */
  clear(): readonly Execution[] {
    const open = [...this.places.values()].flatMap(({ execution }) => execution ?? []);
    this.places.clear();
    this.waiting = 0;
    return open;
  }

  private waits(place: CallPlace, waits: boolean): void {
    if (place.waits === waits) return;
    place.waits = waits;
    this.waiting += waits ? 1 : -1;
  }

  private wakes(): void {
    if (this.running === 0) this.heard();
  }
}
