import type { Clock } from "../core/clock.ts";

export type ReplayVerdict =
  | "fresh"
  | "replayed"
  /** The store, or this key's share of it, has no room: the proof cannot be told from a replay. */
  | "full";

export interface ReplayLimits {
  /** How long a proof is remembered, in milliseconds. Must outlast the time in which a proof is good, 65 s. */
  readonly ttlMs: number;
  /** Most proofs remembered at once. */
  readonly capacity: number;
  /** Most proofs remembered for one key, so that no agent fills the store for all. */
  readonly perKey: number;
}

export const REPLAY_LIMITS: ReplayLimits = { ttlMs: 180_000, capacity: 100_000, perKey: 10_000 };

/** Twice the window of iat, rounded up: remembering for less would let a proof be used again. */
const SHORTEST_TTL_MS = 70_000;

/**
 * Remembers used proofs by (key thumbprint, jti). Lives in memory, so it says from when on it remembers
 * ({@link ReplayStore.since}): a proof made earlier may have been used before a restart.
 * Every entry lives equally long, so insertion order is expiry order and each entry is looked at twice at most.
 */
export class ReplayStore {
  /** Seconds since the epoch, rounded down. */
  readonly since: number;
  private readonly limits: ReplayLimits;
  private readonly clock: Clock;
  /** Expiry on the monotonic clock, by `jkt.jti`. */
  private readonly seen = new Map<string, number>();
  private readonly perKey = new Map<string, number>();

  constructor(clock: Clock, limits: Partial<ReplayLimits> = {}) {
    this.limits = { ...REPLAY_LIMITS, ...limits };
    if (this.limits.ttlMs < SHORTEST_TTL_MS)
      throw new RangeError(`proofs must be remembered for at least ${SHORTEST_TTL_MS} ms`);
    this.clock = clock;
    this.since = Math.floor(clock.now() / 1000);
  }

  get size(): number {
    return this.seen.size;
  }

  /** Claims a proof for its one use. Call it last: a proof that fails another check must not be burnt by others. */
  claim(jkt: string, jti: string): ReplayVerdict {
    const now = this.clock.monotonic();
    this.forget(now);
    // A thumbprint is 43 characters and has no dot, so the parts cannot run into each other.
    const key = `${jkt}.${jti}`;
    if (this.seen.has(key)) return "replayed";
    const held = this.perKey.get(jkt) ?? 0;
    if (held >= this.limits.perKey || this.seen.size >= this.limits.capacity) return "full";
    this.seen.set(key, now + this.limits.ttlMs);
    this.perKey.set(jkt, held + 1);
    return "fresh";
  }

  private forget(now: number): void {
    for (const [key, expiry] of this.seen) {
      if (expiry > now) return;
      this.seen.delete(key);
      const jkt = key.slice(0, key.indexOf("."));
      const held = (this.perKey.get(jkt) ?? 0) - 1;
      if (held > 0) this.perKey.set(jkt, held);
      else this.perKey.delete(jkt);
    }
  }
}
