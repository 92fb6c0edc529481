import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { MeterState } from "../../../src/sandbox/runner/meter-state.ts";

const LIMITS = { fuel: 1_000_000, memoryPages: 100, deadline: Number.POSITIVE_INFINITY };

describe("refill", () => {
  test("gives slices, and smaller ones near the end", () => {
    const meter = new MeterState(LIMITS);
    expect(meter.refill(-1)).toBe(16_384);
    const poor = new MeterState({ ...LIMITS, fuel: 1_001 });
    expect(poor.refill(-1)).toBe(125);
  });

  test("counts to the unit whatever the modules of a call ask for, and ends when more is asked for than there is", () => {
    const debts = fc.array(fc.record({ module: fc.nat(3), amount: fc.integer({ min: 1, max: 100_000 }) }), {
      maxLength: 200,
    });
    fc.assert(
      fc.property(fc.integer({ min: 1_000, max: 3_000_000 }), debts, (fuel, charges) => {
        const meter = new MeterState({ ...LIMITS, fuel });
        const counters = [0, 0, 0, 0];
        for (const [index] of counters.entries()) meter.joined(() => counters[index] ?? 0);
        let charged = 0;
        for (const { module, amount } of charges) {
          const counter = (counters[module] ?? 0) - amount;
          counters[module] = counter < 0 ? meter.refill(counter) : counter;
          if (counters[module] === -1) break;
          charged += amount;
          expect(meter.used().fuel).toBe(charged);
          expect(charged).toBeLessThanOrEqual(fuel);
        }
        if (meter.stopped !== null) {
          expect(meter.used().fuel).toBe(fuel);
          expect(meter.refill(-1)).toBe(-1);
        }
      }),
      { seed: 1 },
    );
  });

  test("is refused from the deadline on, and after a cancellation", () => {
    let now = 0;
    const meter = new MeterState({ ...LIMITS, deadline: 10 }, () => now);
    expect(meter.refill(-1)).toBeGreaterThan(0);
    now = 10;
    expect(meter.refill(-1)).toBe(-1);
    expect(meter.stopped).toBe("deadline");
    now = 0;
    expect(meter.refill(-1)).toBe(-1);

    const cancelled = new MeterState(LIMITS);
    cancelled.cancel();
    expect(cancelled.refill(-1)).toBe(-1);
    expect(cancelled.charge(1)).toBe(false);
    expect(cancelled.stopped).toBe("cancelled");
  });
});

describe("grow", () => {
  test("never gives more than the lower of both limits, and at least what it promises", () => {
    const pages = fc.nat(200);
    fc.assert(
      fc.property(
        pages,
        fc.integer({ min: 0, max: 0xffff_ffff }),
        pages,
        pages,
        (seen, delta, ahead, declared) => {
          const meter = new MeterState(LIMITS);
          const most = Math.min(declared, LIMITS.memoryPages);
          fc.pre(seen <= most);
          const real = Math.min(seen + ahead, most);
          // The engine passes integers of 32 bits as signed ones.
          const answer = meter.grow(seen, delta | 0, real, declared);
          expect(answer).toBe(answer < 0 ? -1 : Math.max(answer, seen + delta, real));
          expect(answer).toBeLessThanOrEqual(most);
          expect(answer === -1).toBe(seen + delta > most);
          expect(meter.growDenied).toBe(answer === -1);
        },
      ),
      { seed: 1 },
    );
  });
});
