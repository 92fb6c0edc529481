import type { Clock } from "../../core/clock.ts";
import { LruMap } from "../../core/lru-map.ts";

export interface RateLimit {
  /** Tokens that come back each second. */
  readonly rate: number;
  /** Tokens of a bucket that was not used for long. */
  readonly burst: number;
  /** Most buckets in memory. */
  readonly keys: number;
}

export type RateVerdict =
  | { readonly ok: true }
  /** Whole seconds, at least 1, for the Retry-After header (RFC 9110 §10.2.3). */
  | { readonly ok: false; readonly retryAfterSeconds: number };

interface Bucket {
  tokens: number;
  /** Monotonic milliseconds at which `tokens` was right. */
  at: number;
}

/**
 * Token buckets by key, refilled when they are looked at. A bucket leaves memory only once it is full again, so that
 * nobody wins back tokens by pushing others out: while all places hold used buckets, a new key is refused.
 */
export class RateLimiter {
  private readonly limit: RateLimit;
  private readonly clock: Clock;
  private readonly buckets: LruMap<string, Bucket>;

  constructor(limit: RateLimit, clock: Clock) {
    if (!(limit.rate > 0 && limit.burst >= 1))
      throw new RangeError("rate must be positive and burst at least 1");
    this.limit = limit;
    this.clock = clock;
    this.buckets = new LruMap(limit.keys);
  }

  /** Takes one token of the key's bucket. */
  take(key: string): RateVerdict {
    const now = this.clock.monotonic();
    let bucket = this.buckets.get(key);
    if (bucket === undefined) {
      const wait = this.untilRoom(now);
      if (wait > 0) return refused(wait);
      bucket = { tokens: this.limit.burst, at: now };
      this.buckets.set(key, bucket);
    } else {
      bucket.tokens = this.refilled(bucket, now);
      bucket.at = now;
    }
    if (bucket.tokens < 1) return refused(((1 - bucket.tokens) / this.limit.rate) * 1000);
    bucket.tokens -= 1;
    return { ok: true };
  }

  private refilled(bucket: Bucket, now: number): number {
    return Math.min(this.limit.burst, bucket.tokens + ((now - bucket.at) / 1000) * this.limit.rate);
  }

  /** Milliseconds until a new key finds a place. The bucket unused for longest is looked at, not all. */
  private untilRoom(now: number): number {
    if (this.buckets.size < this.limit.keys) return 0;
    const oldest = this.buckets.oldest();
    if (oldest === undefined) return 0;
    return ((this.limit.burst - this.refilled(oldest[1], now)) / this.limit.rate) * 1000;
  }
}

function refused(waitMs: number): RateVerdict {
  return { ok: false, retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)) };
}
