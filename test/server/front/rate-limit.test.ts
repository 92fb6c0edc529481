import { expect, test } from "bun:test";
import fc from "fast-check";
import { RateLimiter } from "../../../src/server/front/index.ts";

function clockAt() {
  let at = 0;
  return { now: () => at, monotonic: () => at, advance: (ms: number) => (at += ms) };
}

test("a bucket starts full, empties, and refills with time", () => {
  const clock = clockAt();
  const limiter = new RateLimiter({ rate: 2, burst: 3, keys: 10 }, clock);
  expect([1, 2, 3].map(() => limiter.take("a").ok)).toEqual([true, true, true]);
  expect(limiter.take("a")).toEqual({ ok: false, retryAfterSeconds: 1 });
  clock.advance(499);
  expect(limiter.take("a").ok).toBe(false);
  clock.advance(1);
  expect(limiter.take("a").ok).toBe(true);
  expect(limiter.take("a").ok).toBe(false);
});

test("each key has its own bucket", () => {
  const limiter = new RateLimiter({ rate: 1, burst: 1, keys: 10 }, clockAt());
  expect([limiter.take("a").ok, limiter.take("b").ok, limiter.take("a").ok]).toEqual([true, true, false]);
});

test("the time to wait is said in whole seconds, rounded up", () => {
  const clock = clockAt();
  const limiter = new RateLimiter({ rate: 0.1, burst: 1, keys: 10 }, clock);
  limiter.take("a");
  expect(limiter.take("a")).toEqual({ ok: false, retryAfterSeconds: 10 });
  clock.advance(8_500);
  expect(limiter.take("a")).toEqual({ ok: false, retryAfterSeconds: 2 });
});

test("pushing others out wins no tokens: used buckets keep their places", () => {
  const clock = clockAt();
  const limiter = new RateLimiter({ rate: 1, burst: 2, keys: 2 }, clock);
  limiter.take("a");
  limiter.take("a");
  limiter.take("b");
  expect(limiter.take("c")).toEqual({ ok: false, retryAfterSeconds: 2 });
  expect(limiter.take("a").ok).toBe(false);
  // Looked at last, "b" is now the oldest and is full again after a second.
  clock.advance(1000);
  expect(limiter.take("c").ok).toBe(true);
  expect(limiter.take("a").ok).toBe(true);
});

test("over any time no key gets more than burst + rate × time", () => {
  const step = fc.record({
    key: fc.constantFrom("a", "b", "c", "d"),
    wait: fc.integer({ min: 0, max: 700 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const clock = clockAt();
      const limiter = new RateLimiter({ rate: 2, burst: 3, keys: 3 }, clock);
      const taken = new Map<string, number>();
      for (const { key, wait } of steps) {
        clock.advance(wait);
        if (limiter.take(key).ok) taken.set(key, (taken.get(key) ?? 0) + 1);
        expect(taken.get(key) ?? 0).toBeLessThanOrEqual(3 + (clock.monotonic() / 1000) * 2);
      }
    }),
    { seed: 1, numRuns: 200 },
  );
});

test("a limit that would never give is refused", () => {
  for (const [rate, burst] of [
    [0, 1],
    [-1, 1],
    [1, 0.5],
    [Number.NaN, 1],
  ])
    expect(() => new RateLimiter({ rate: rate ?? 0, burst: burst ?? 0, keys: 1 }, clockAt())).toThrow("rate");
});
