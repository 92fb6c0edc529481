/** Memory of a verification does not grow with the log. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { statSync } from "node:fs";
import { BINARY } from "../gate-process.ts";
import { type ScratchLog, scratchLog, task } from "./scratch-log.ts";

let log: ScratchLog;
beforeAll(() => {
  log = scratchLog();
});
afterAll(() => log.remove());

/** Entries of about 15 KB, so that what is kept of each would show. */
async function grow(entries: number): Promise<number> {
  for (let i = 0; i < entries; i += 100)
    await log.writer.run(Array.from({ length: 100 }, () => task("long")));
  log.writer.checkpoint();
  log.db.run("PRAGMA wal_checkpoint(TRUNCATE)");
  return statSync(log.ledger).size;
}

/** Largest resident set, bytes: the smaller of two runs, as garbage waits longer on a busy machine. */
async function peakOf(threads: number): Promise<number> {
  return Math.min(await peak(threads), await peak(threads));
}

async function peak(threads: number): Promise<number> {
  const child = Bun.spawn([BINARY, "verify", log.ledger, "--threads", String(threads)], {
    // The engine collects as on a small machine: garbage that waits would hide what is kept.
    env: { BUN_JSC_forceRAMSize: String(256 * 2 ** 20) },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "inherit",
  });
  expect(await child.exited).toBe(0);
  return child.resourceUsage()?.maxRSS ?? Number.NaN;
}

test("a log of four times the size takes no more memory, with one thread and with two", async () => {
  const small = await grow(2100);
  const before = [await peakOf(1), await peakOf(2)];
  const large = await grow(7000);
  const after = [await peakOf(1), await peakOf(2)];
  // What is kept of entries would be as much again as the file has grown; garbage that waits to be collected is not.
  for (const [i, peak] of after.entries())
    expect(peak - (before[i] ?? 0)).toBeLessThan((large - small) * 0.75);
}, 180_000);
