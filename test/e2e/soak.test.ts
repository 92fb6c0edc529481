import { expect, test } from "bun:test";
import { soak } from "../soak/soak.ts";

test("killed at random moments under load: chain whole, grants terminal, effects granted and single, budgets exact", async () => {
  const { faults, ...totals } = await soak({ rounds: 8, seed: 8, cuts: 6 });
  expect(faults).toEqual([]);
  // The load must reach effects, and the kills must cut some of them short.
  expect(totals.effects).toBeGreaterThan(30);
  expect(totals.indeterminate).toBeGreaterThan(0);
}, 120_000);

test("a write-ahead log that ends at any frame, or within one, opens as a whole prefix", async () => {
  const { faults, cuts } = await soak({ rounds: 1, seed: 3, cuts: Number.POSITIVE_INFINITY });
  expect(faults).toEqual([]);
  expect(cuts).toBeGreaterThan(50);
}, 120_000);
