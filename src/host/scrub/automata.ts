import { createHmac, randomBytes } from "node:crypto";
import type { Clock } from "../../core/clock.ts";
import { Automaton } from "./automaton.ts";
import { formsInTurns, formsOf } from "./forms.ts";

export interface AutomataOptions {
  readonly clock: Clock;
  /** Milliseconds after its last use that an automaton is kept for the next call; 30 s by default. */
  readonly idleMs?: number;
  /** Bytes that all automata which nobody uses may have together; 64 MiB by default. */
  readonly mostIdleBytes?: number;
}

/** An automaton in use: whole until it is released, and not to be used after that. */
export interface HeldAutomaton {
  readonly automaton: Automaton;
  /** Once; more does nothing. */
  release(): void;
}

interface Kept {
  readonly key: string;
  readonly made: Promise<Automaton>;
  holders: number;
}

interface Idle {
  readonly automaton: Automaton;
  /** Monotonic milliseconds of the last release. */
  readonly since: number;
}

const IDLE_MS = 30_000;
const MOST_IDLE_BYTES = 64 * 1024 * 1024;
/** The forms of a value of more bytes take a millisecond or more. */
const LONG = 1024;

/**
 * What looks for credentials, made once for the same values rather than for each call. The values can be read from an
 * automaton, so one is kept for as long as calls use it, and a short time more: then it is overwritten. What finds it
 * again is a keyed hash of the values, so that nobody meets those of another version of the secrets file, another
 * tenant or another principal.
 */
export class Automata {
  private readonly clock: Clock;
  private readonly idleMs: number;
  private readonly mostIdleBytes: number;
  private readonly hashKey = randomBytes(32);
  private readonly kept = new Map<string, Kept>();
  /** Those that nobody holds, the longest idle first. */
  private readonly idle = new Map<Kept, Idle>();
  private idleBytes = 0;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private closed = false;

  constructor({ clock, idleMs = IDLE_MS, mostIdleBytes = MOST_IDLE_BYTES }: AutomataOptions) {
    this.clock = clock;
    this.idleMs = idleMs;
    this.mostIdleBytes = mostIdleBytes;
  }

  /** How many are kept, those in use among them. */
  get count(): number {
    return this.kept.size;
  }

  /**
   * The automaton that finds these values in every form. They must stay as they are until it is there.
   *
   * @param values none longer than 8 KiB, or a form of it may be longer than an automaton takes
   */
  async hold(values: readonly Uint8Array[]): Promise<HeldAutomaton> {
    const key = this.keyOf(values);
    const one = this.kept.get(key) ?? { key, made: make(values), holders: 0 };
    this.kept.set(key, one);
    this.use(one);
    one.holders += 1;
    try {
      const automaton = await one.made;
      let held = true;
      const release = () => {
        if (held) this.release(one, automaton);
        held = false;
      };
      return { automaton, release };
    } catch (thrown) {
      if (this.kept.get(key) === one) this.kept.delete(key);
      throw thrown;
    }
  }

  /** Overwrites what nobody uses, and the rest as soon as it is released. */
  close(): void {
    this.closed = true;
    for (const one of this.idle.keys()) this.drop(one);
    this.watch();
  }

  private use(one: Kept): void {
    this.idleBytes -= this.idle.get(one)?.automaton.size ?? 0;
    this.idle.delete(one);
  }

  private release(one: Kept, automaton: Automaton): void {
    one.holders -= 1;
    if (one.holders > 0) return;
    this.idle.set(one, { automaton, since: this.clock.monotonic() });
    this.idleBytes += automaton.size;
    for (const oldest of this.idle.keys()) {
      if (!this.closed && this.idleBytes <= this.mostIdleBytes) break;
      this.drop(oldest);
    }
    this.watch();
  }

  private drop(one: Kept): void {
    const automaton = this.idle.get(one)?.automaton;
    this.use(one);
    this.kept.delete(one.key);
    automaton?.clear();
  }

  /** One timer for all, set for the longest idle; it keeps no process alive. */
  private watch(): void {
    const [oldest] = this.idle.values();
    if (oldest === undefined) {
      if (this.timer !== null) clearTimeout(this.timer);
      this.timer = null;
      return;
    }
    if (this.timer !== null) return;
    const left = oldest.since + this.idleMs - this.clock.monotonic();
    this.timer = setTimeout(() => this.expire(), Math.max(0, left));
    this.timer.unref();
  }

  private expire(): void {
    this.timer = null;
    const now = this.clock.monotonic();
    for (const [one, { since }] of this.idle) {
      if (now - since < this.idleMs) break;
      this.drop(one);
    }
    this.watch();
  }

  private keyOf(values: readonly Uint8Array[]): string {
    const hash = createHmac("sha256", this.hashKey);
    for (const value of values) hash.update(`${value.length}:`).update(value);
    return hash.digest("base64");
  }
}

async function make(values: readonly Uint8Array[]): Promise<Automaton> {
  const patterns: Uint8Array[] = [];
  try {
    for (const value of values)
      patterns.push(...(value.length > LONG ? await formsInTurns(value) : formsOf(value)));
    return await Automaton.inTurns(patterns);
  } finally {
    for (const pattern of patterns) pattern.fill(0);
  }
}
