/**
 * Each byte of a ledger of 30 entries flipped, and each cut of it, of the main file and of a write-ahead log: the
 * change is found, or the verdict and all that it tells are what they were. `LATCHGATE_TEST_FLIP=all` takes every
 * byte; without it a stride, which starts elsewhere for each mask.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LedgerError } from "../../src/ledger/errors.ts";
import { type Anchor, parseAnchor } from "../../src/ledger/verify/anchors.ts";
import { verifyLedgerFile } from "../../src/ledger/verify/file.ts";
import type { VerifyReport } from "../../src/ledger/verify/report.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";
import { readRows } from "../ledger/forge.ts";
import { type ScratchLog, scratchLog, task } from "../ledger/scratch-log.ts";

const EACH = process.env.LATCHGATE_TEST_FLIP === "all";
const STRIDE = EACH ? 1 : 397;
/** Milliseconds that a test may take: with every byte, hours. */
const LONGEST = EACH ? 36_000_000 : 3_600_000;

let log: ScratchLog;
let fingerprint: string;
let anchors: readonly Anchor[];
let good: VerifyReport;
/** The same log twice: folded into its file, and with all but the first entries in the write-ahead log. */
let folded: Buffer;
let started: { readonly main: Buffer; readonly wal: Buffer };

beforeAll(async () => {
  log = scratchLog();
  await log.writer.run([task("stop"), task("rotate", "evidence"), task("rotate", "checkpoint")]);
  log.writer.checkpoint();
  log.db.run("PRAGMA wal_checkpoint(TRUNCATE)");
  for (let i = 0; i < 13; i++) await log.writer.run([task("twice", `reason ${i}`)]);
  const note = log.writer.checkpoint();
  const anchor = parseAnchor(note);
  anchors = anchor === null ? [] : [anchor];
  started = { main: readFileSync(log.ledger), wal: readFileSync(`${log.ledger}-wal`) };
  log.writer.close();
  folded = readFileSync(log.ledger);
  fingerprint = verifyLedgerFile(log.ledger, { trust: readTrust(undefined), strict: true }).fingerprint ?? "";
  good = verifyAt(log.ledger);
  expect(good).toMatchObject({ verdict: "intact", entries: 30, anchored_to: 30 });
});
afterAll(() => log.remove());

const verifyAt = (path: string) =>
  verifyLedgerFile(path, { trust: readTrust(fingerprint), strict: true, anchors });

type Outcome = "found" | "unchanged";

function judge(main: Uint8Array, wal: Uint8Array | null): Outcome {
  const path = join(log.dir, "damaged.db");
  for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
  writeFileSync(path, main);
  if (wal !== null) writeFileSync(`${path}-wal`, wal);
  let report: VerifyReport;
  try {
    report = verifyAt(path);
  } catch (error) {
    expect(error).toBeInstanceOf(LedgerError);
    return "found";
  }
  if (report.exit_code !== 0) return "found";
  // Whatever else is in the file, all that the report tells is what it was, to the root over every signed byte.
  // A stored checkpoint that is gone takes nothing away: its root follows from the entries, and the anchor held.
  expect({ ...report, checkpoints: good.checkpoints }).toEqual(good);
  return "unchanged";
}

function flipped(bytes: Buffer, at: number, mask: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ mask;
  return copy;
}

const MASKS = [0x01, 0x80, 0xff];

function flipEach(bytes: Buffer, outcome: (changed: Buffer) => Outcome): Record<Outcome, number> {
  const tally = { found: 0, unchanged: 0 };
  for (const [i, mask] of MASKS.entries())
    for (let at = (i * STRIDE) / MASKS.length; at < bytes.length; at += STRIDE)
      tally[outcome(flipped(bytes, Math.floor(at), mask))]++;
  return tally;
}

test(
  "each byte of the file",
  () => {
    const tally = flipEach(folded, (changed) => judge(changed, null));
    // Signed text, hashes and notes are a good part of so small a file.
    expect(tally.found).toBeGreaterThan(tally.unchanged / 20);
  },
  LONGEST,
);

test(
  "each byte of the write-ahead log, and of the file beneath it",
  () => {
    const { main, wal } = started;
    const inLog = flipEach(wal, (changed) => judge(main, changed));
    expect(inLog.found).toBeGreaterThan(0);
    flipEach(main, (changed) => judge(changed, wal));
  },
  LONGEST,
);

test(
  "each byte of each signed entry, of its hash and of each note is found",
  () => {
    const signed = readRows(log.ledger).flatMap(({ jws, hash }) => [Buffer.from(jws), Buffer.from(hash)]);
    const step = EACH ? 1 : 211;
    for (const text of signed) {
      const start = folded.indexOf(text);
      expect(start).toBeGreaterThan(0);
      for (let at = start; at < start + text.length; at += step)
        expect([at, judge(flipped(folded, at, 0x01), null)]).toEqual([at, "found"]);
    }
  },
  LONGEST,
);

test(
  "each cut of the file, and of the write-ahead log",
  () => {
    for (let length = 0; length < folded.length; length += STRIDE)
      expect([length, judge(folded.subarray(0, length), null)]).toEqual([length, "found"]);
    const { main, wal } = started;
    let last: Outcome = "found";
    for (let length = 0; length < wal.length; length += STRIDE) {
      const outcome = judge(main, wal.subarray(0, length));
      // Once the last commit is whole, what is cut off behind it was never part of the log.
      expect([length, outcome]).toEqual([length, last === "unchanged" ? "unchanged" : outcome]);
      last = outcome;
    }
    expect(judge(main, wal)).toBe("unchanged");
    expect(judge(main, null)).toBe("found");
  },
  LONGEST,
);

test("the copy as it was is as it was", () => {
  const path = join(log.dir, "copy.db");
  copyFileSync(log.ledger, path);
  expect(verifyAt(path)).toEqual(good);
});
