import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { LedgerError } from "../../src/ledger/errors.ts";
import { verifyLedgerFile } from "../../src/ledger/verify/file.ts";
import type { VerifyReport } from "../../src/ledger/verify/report.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";
import { type LivedLedger, liveALittle } from "../ledger/lived-ledger.ts";

let lived: LivedLedger;
let whole: Buffer;
let scratch: string;
let good: VerifyReport;
beforeAll(async () => {
  lived = await liveALittle();
  whole = readFileSync(lived.gate.ledger);
  scratch = mkdtempSync(join(tmpdir(), "latchgate-n19-"));
  good = verifyFile(lived.gate.ledger);
  expect(good.verdict).toBe("intact");
});
afterAll(async () => {
  await lived[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true, force: true });
});

const verifyFile = (path: string) =>
  verifyLedgerFile(path, { trust: readTrust(lived.fingerprint), strict: true });

type Outcome = "found" | "harmless";

/** Harmless is what leaves every signed byte, the key history, the checkpoints and the table of grants as they were. */
function judge(bytes: Uint8Array): Outcome {
  const path = join(scratch, "damaged.db");
  for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
  writeFileSync(path, bytes);
  let report: VerifyReport;
  try {
    report = verifyFile(path);
  } catch (error) {
    expect(error).toBeInstanceOf(LedgerError);
    return "found";
  }
  if (report.verdict !== "intact") return "found";
  expect(report).toEqual(good);
  return "harmless";
}

const flip = (at: number, mask: number) => {
  const bytes = Buffer.from(whole);
  bytes[at] = (bytes[at] ?? 0) ^ mask;
  return bytes;
};

test("each flipped byte is found, or provably changes nothing that is signed or shown", () => {
  const outcomes = { found: 0, harmless: 0 };
  const property = fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
    outcomes[judge(flip(at, mask))]++;
  });
  fc.assert(property, { seed: 1, numRuns: 250 });
  // Most of a small database is free space and short-lived state; the check must bite all the same.
  expect(outcomes.found).toBeGreaterThan(20);
});

test("each flipped byte within a signed entry, its hash or a checkpoint is found", () => {
  const regions = [
    ...lived.rows.map((row) => Buffer.from(row.jws)),
    ...lived.rows.map((row) => Buffer.from(row.hash)),
  ].map((bytes) => ({ start: whole.indexOf(bytes.subarray(0, 200)), length: Math.min(bytes.length, 200) }));
  expect(regions.filter(({ start }) => start < 0)).toEqual([]);
  const place = fc
    .constantFrom(...regions)
    .chain(({ start, length }) => fc.nat(length - 1).map((at) => start + at));
  const property = fc.property(place, fc.integer({ min: 1, max: 255 }), (at, mask) => {
    expect(judge(flip(at, mask))).toBe("found");
  });
  fc.assert(property, { seed: 2, numRuns: 150 });
});

test("each cut is found", () => {
  const property = fc.property(fc.nat(whole.length - 1), (length) => {
    expect(judge(whole.subarray(0, length))).toBe("found");
  });
  fc.assert(property, {
    seed: 3,
    numRuns: 60,
    examples: [[0], [1], [100], [4096], [whole.length - 1], [whole.length - 4096]],
  });
});

test("latchgate verify ends with a code that says so", async () => {
  for (const at of fc.sample(fc.nat(whole.length - 1), { seed: 4, numRuns: 10 })) {
    const bytes = flip(at, 0xff);
    const expected = judge(bytes);
    const { code, stdout, stderr } = await lived.gate.run(
      "verify",
      join(scratch, "damaged.db"),
      "--trust",
      lived.fingerprint,
    );
    if (expected === "harmless")
      expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining("intact") });
    else {
      expect([1, 10, 11, 13]).toContain(code);
      expect(`${stdout}${stderr}`).not.toContain("intact");
    }
  }
});
