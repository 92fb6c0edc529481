import { expect, test } from "bun:test";
import fc from "fast-check";
import { ReplayStore } from "../../src/identity/index.ts";
import { NOW_SECONDS, TestClock } from "./fixtures.ts";

const TTL = 180_000;

test("a proof is fresh once, per key", () => {
  const store = new ReplayStore(new TestClock());
  expect(store.claim("k1", "a")).toBe("fresh");
  expect(store.claim("k1", "a")).toBe("replayed");
  // Another key's jti is its own affair: nobody can burn another's proof by guessing its jti.
  expect(store.claim("k2", "a")).toBe("fresh");
  expect(store.claim("k1", "a.")).toBe("fresh");
});

test("a proof is remembered for the whole of its time and no longer", () => {
  const clock = new TestClock();
  const store = new ReplayStore(clock);
  store.claim("k", "a");
  clock.advance(TTL - 1);
  expect(store.claim("k", "a")).toBe("replayed");
  clock.advance(1);
  expect(store.claim("k", "b")).toBe("fresh");
  expect(store.size).toBe(1);
});

test("a full store refuses what it has not seen, still knows what it has, and recovers", () => {
  const clock = new TestClock();
  const store = new ReplayStore(clock, { capacity: 3 });
  for (const jti of ["a", "b", "c"]) expect(store.claim("k", jti)).toBe("fresh");
  expect(store.claim("other", "d")).toBe("full");
  expect(store.claim("k", "a")).toBe("replayed");
  clock.advance(TTL);
  expect(store.claim("other", "d")).toBe("fresh");
});

test("one key fills its own share and leaves the others theirs", () => {
  const clock = new TestClock();
  const store = new ReplayStore(clock, { capacity: 100, perKey: 2 });
  expect([store.claim("greedy", "1"), store.claim("greedy", "2"), store.claim("greedy", "3")]).toEqual([
    "fresh",
    "fresh",
    "full",
  ]);
  expect(store.claim("modest", "1")).toBe("fresh");
  clock.advance(TTL);
  expect(store.claim("greedy", "3")).toBe("fresh");
});

test("it says from which second on it remembers", () => {
  expect(new ReplayStore(new TestClock()).since).toBe(NOW_SECONDS);
});

test("a memory shorter than the life of a proof is refused", () => {
  expect(() => new ReplayStore(new TestClock(), { ttlMs: 60_000 })).toThrow("at least");
});

test("against a model: any sequence of claims and pauses", () => {
  const claim = fc.record({
    key: fc.constantFrom("k1", "k2", "k3"),
    jti: fc.constantFrom("a", "b", "c", "d", "e"),
  });
  const pause = fc.integer({ min: 0, max: 120_000 });
  const limits = { ttlMs: TTL, capacity: 8, perKey: 4 };
  fc.assert(
    fc.property(fc.array(fc.oneof(claim, pause), { maxLength: 200 }), (steps) => {
      const clock = new TestClock();
      const store = new ReplayStore(clock, limits);
      let model: { key: string; jti: string; until: number }[] = [];
      for (const step of steps) {
        if (typeof step === "number") {
          clock.advance(step);
          continue;
        }
        const now = clock.monotonic();
        model = model.filter((entry) => entry.until > now);
        const seen = model.some((entry) => entry.key === step.key && entry.jti === step.jti);
        const room =
          model.length < limits.capacity &&
          model.filter((entry) => entry.key === step.key).length < limits.perKey;
        const expected = seen ? "replayed" : room ? "fresh" : "full";
        if (expected === "fresh") model.push({ ...step, until: now + limits.ttlMs });
        expect(store.claim(step.key, step.jti)).toBe(expected);
        expect(store.size).toBe(model.length);
      }
    }),
    { seed: 1, numRuns: 200 },
  );
});
