import { expect, test } from "bun:test";
import { fuzzComponents } from "./components.ts";

test("mutated components are refused or contained, and cost no runner", async () => {
  const { ends, lost } = await fuzzComponents(300, 20_261_123);
  expect([...ends.values()].reduce((sum, count) => sum + count, 0)).toBe(300);
  // All ways are gone: refused by the reader, run to the end, trapped.
  for (const end of ["component_malformed", "ok", "trap"]) expect(ends.get(end) ?? 0).toBeGreaterThan(0);
  expect(ends.get("runner_lost") ?? 0).toBe(0);
  expect(lost).toBe(0);
}, 120_000);
