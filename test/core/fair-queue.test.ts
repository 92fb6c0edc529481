import { expect, test } from "bun:test";
import fc from "fast-check";
import { FairQueue } from "../../src/core/fair-queue.ts";
import { RunnerGroup } from "../../src/sandbox/group.ts";
import type { Place } from "../../src/sandbox/place.ts";

const tenants = fc.array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 40 });

test("nobody has two turns while another one waits for its first, and each line keeps its order", () => {
  fc.assert(
    fc.property(tenants, (arrivals) => {
      const queue = new FairQueue<{ tenant: string; at: number }>();
      for (const [at, tenant] of arrivals.entries()) queue.push({ tenant, at });
      const waiting = new Set(queue.items());
      const since = new Map<string, number>();
      for (let turn = 1; queue.length > 0; turn++) {
        const item = queue.shift();
        if (item === undefined) throw new Error("nothing came of a queue that is not empty");
        const before = since.get(item.tenant) ?? 0;
        waiting.delete(item);
        for (const other of waiting) {
          expect(since.get(other.tenant) ?? 0).toBeGreaterThanOrEqual(before);
          if (other.tenant === item.tenant) expect(other.at).toBeGreaterThan(item.at);
        }
        since.set(item.tenant, turn);
      }
      expect(waiting.size).toBe(0);
    }),
  );
});

test("whose turn it is but may not go keeps it, and keeps nobody back", () => {
  fc.assert(
    fc.property(tenants, fc.constantFrom("a", "b", "c", "d"), (arrivals, late) => {
      const queue = new FairQueue<{ tenant: string }>();
      const all = new FairQueue<{ tenant: string }>();
      const items = arrivals.map((tenant) => ({ tenant }));
      for (const item of items) queue.push(item);
      for (const item of items.filter(({ tenant }) => tenant !== late)) all.push(item);
      for (let next = all.shift(); next !== undefined; next = all.shift())
        expect(queue.shift((tenant) => tenant !== late)).toBe(next);
      expect(queue.shift((tenant) => tenant !== late)).toBeUndefined();
      expect(queue.items()).toEqual(items.filter(({ tenant }) => tenant === late));
    }),
  );
});

test("what is removed does not come, and the count is what comes", () => {
  fc.assert(
    fc.property(tenants, fc.func(fc.boolean()), (arrivals, isRemoved) => {
      const queue = new FairQueue<{ tenant: string }>();
      const items = arrivals.map((tenant) => ({ tenant }));
      for (const item of items) queue.push(item);
      const kept = items.filter((item, at) => {
        const goes = isRemoved(at);
        if (goes) queue.remove(item);
        return !goes;
      });
      expect(queue.length).toBe(kept.length);
      const came = new Set(kept.map(() => queue.shift()));
      expect(came).toEqual(new Set(kept));
      expect(queue.shift()).toBeUndefined();
    }),
  );
});

test("of the places in a queue there is always one for a tenant that has none, until all are taken", () => {
  const limits = { maxInFlight: 1, maxRunning: 1, stallMs: 1, recycleAfter: 1 };
  fc.assert(
    fc.property(
      tenants,
      fc.integer({ min: 0, max: 30 }),
      fc.func(fc.boolean()),
      (asking, queueLimit, goes) => {
        const group = new RunnerGroup("builtin", null, 1, { ...limits, queueLimit });
        const places = new Map<string, Place[]>();
        let taken = 0;
        for (const [at, tenant] of asking.entries()) {
          const own = places.get(tenant) ?? [];
          const place = group.reserve(tenant, 0);
          if (place === null) expect(own.length).toBeGreaterThanOrEqual(8 * (queueLimit - taken));
          else {
            places.set(tenant, [...own, place]);
            taken++;
          }
          expect(taken).toBeLessThanOrEqual(queueLimit);
          const back = goes(at) ? places.get(tenant)?.pop() : undefined;
          if (back === undefined) continue;
          back[Symbol.dispose]();
          taken--;
        }
      },
    ),
  );
});
