/** A cut tail, a fork and a rollback are found, given only the last head that somebody noted elsewhere. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseCheckpoint } from "../../src/ledger/checkpoint.ts";
import { parseAnchor, readAnchor } from "../../src/ledger/verify/anchors.ts";
import { verifyLedgerFile } from "../../src/ledger/verify/file.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";
import { cutLog, rewrite, withDatabase } from "../ledger/forge.ts";
import { type LedgerCopy, type LivedLedger, liveALittle } from "../ledger/lived-ledger.ts";

let lived: LivedLedger;
let note: string;
let size: number;
let bare: string;
beforeAll(async () => {
  lived = await liveALittle();
  note = lived.checkpoints.at(-1)?.note ?? "";
  const checkpoint = parseCheckpoint(note)?.checkpoint;
  if (checkpoint === undefined) throw new Error("the gate left no checkpoint");
  size = checkpoint.size;
  bare = `${size} ${checkpoint.root.toString("hex")}`;
});
afterAll(() => lived[Symbol.asyncDispose]());

function judge(anchors: readonly string[], change: (copy: LedgerCopy) => void = () => undefined) {
  const copy = lived.copy();
  change(copy);
  const report = verifyLedgerFile(copy.ledger, {
    trust: readTrust(lived.fingerprint),
    strict: true,
    anchors: anchors.map(readAnchor),
  });
  copy.remove();
  return report;
}

/** As somebody would who wants to hide the end: every table agrees with what is left. */
const cutTo = (entries: number) => (copy: LedgerCopy) =>
  withDatabase(copy.ledger, (db) => cutLog(db, entries));

test("the log bears out its own last head, as a note and as size and root", () => {
  for (const anchor of [note, bare])
    expect(judge([anchor])).toMatchObject({ verdict: "intact", exit_code: 0, anchored_to: size });
  expect(judge([])).toMatchObject({ verdict: "intact", anchored_to: null });
});

test("each cut tail is found with the head alone, and not without it", () => {
  for (const anchor of [note, bare])
    for (let entries = 1; entries < size; entries += anchor === note ? 1 : 7) {
      const report = judge([anchor], cutTo(entries));
      expect([entries, report.damage.anchor, report.anchored_to]).toEqual([entries, 1, null]);
      expect(report.exit_code).toBe(12);
    }
  const unseen = verifyOf(cutTo(size - 1));
  expect(unseen).toMatchObject({ verdict: "intact", exit_code: 0 });
});

function verifyOf(change: (copy: LedgerCopy) => void) {
  const copy = lived.copy();
  change(copy);
  const report = verifyLedgerFile(copy.ledger, { trust: readTrust(lived.fingerprint), strict: false });
  copy.remove();
  return report;
}

test("a fork, written anew with the right keys, is found", () => {
  const report = judge([note], (copy) =>
    rewrite(copy.ledger, {
      keys: copy.keys,
      edit: (text, seq) => (seq === size - 2 ? text.replace('"time":"20', '"time":"21') : text),
    }),
  );
  expect(report.damage.anchor).toBe(1);
  expect(report.anchored_to).toBeNull();
});

test("a head that another key signed, or of another log, is not one of this log", () => {
  const lines = note.split("\n");
  // Every signature: after a rotation two keys sign, and one that holds is enough.
  const forged = note.replace(/^(— .*)[A-Za-z0-9+/]{7}=$/gm, "$1AAAAAAA=");
  expect(forged).not.toBe(note);
  expect(judge([forged]).first_damage).toMatchObject({
    kind: "anchor",
    detail: "an anchor is not signed by a checkpoint key of this log",
  });
  const other = note.replaceAll(lines[0] ?? "", "latchgate/01a205ba-0000-7000-8000-000000000000");
  expect(judge([other])).toMatchObject({
    exit_code: 12,
    first_damage: { kind: "anchor", detail: "an anchor is of another log" },
  });
});

test("of several anchors each counts, and the largest that held is told", () => {
  const empty = `0 ${"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}`;
  expect(judge([bare, empty])).toMatchObject({ verdict: "intact", anchored_to: size });
  const wrong = `5 ${"0".repeat(64)}`;
  expect(judge([bare, wrong])).toMatchObject({
    exit_code: 12,
    anchored_to: size,
    first_damage: { kind: "anchor", seq: 4 },
  });
  expect(judge([`0 ${"0".repeat(64)}`]).exit_code).toBe(12);
});

test("what is no checkpoint is refused before anything is said", () => {
  for (const text of ["", "12", `01 ${"0".repeat(64)}`, `5 ${"0".repeat(63)}`, note.slice(0, 40)])
    expect(parseAnchor(text)).toBeNull();
  expect(() => readAnchor("/nowhere/checkpoint")).toThrow("is not a checkpoint");
});

test("latchgate verify --anchor ends with 12", async () => {
  const copy = lived.copy();
  cutTo(size - 3)(copy);
  const file = join(copy.dir, "head.txt");
  writeFileSync(file, note);
  const run = (...flags: string[]) =>
    lived.gate.run("verify", copy.ledger, "--trust", lived.fingerprint, "--json", ...flags);
  expect((await run("--anchor", file)).code).toBe(12);
  expect((await run("--anchor", bare, "--anchor", file)).code).toBe(12);
  expect((await run()).code).toBe(0);
  expect((await run("--anchor", join(copy.dir, "absent.txt"))).code).toBe(1);
  copy.remove();
});
