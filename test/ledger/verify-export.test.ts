/** Each check of an export, with all else of it right. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { exportLines } from "../../src/ledger/export.ts";
import { type Anchor, parseAnchor } from "../../src/ledger/verify/anchors.ts";
import { type ExportHead, verifyExport } from "../../src/ledger/verify/export-file.ts";
import type { VerifyReport } from "../../src/ledger/verify/report.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";
import { judge, readRows, withDatabase } from "./forge.ts";
import { type ScratchLog, scratchLog, task } from "./scratch-log.ts";

let log: ScratchLog;
let kid: string;
/** Of entries 3 to the last, with a checkpoint. */
let lines: readonly string[];
let size: number;
const FROM = 3;
beforeAll(async () => {
  log = scratchLog();
  for (const name of ["a", "b", "c", "d", "e", "f"]) await log.writer.run([task("stop", name)]);
  kid = log.writer.keys.current("evidence").kid;
  log.writer.close();
  size = readRows(log.ledger).length;
  lines = withDatabase(log.ledger, (db) => [...exportLines(db, { from: FROM, to: null })]);
});
afterAll(() => log.remove());

const rootAt = (entries: number): string => judge(readRows(log.ledger).slice(0, entries), kid).root ?? "";
const anchor = (entries: number, root = rootAt(entries)): Anchor =>
  parseAnchor(`${entries} ${root}`) ?? expect.unreachable("no anchor");

let files = 0;
function verdict(text: readonly string[] | string, anchors: readonly Anchor[] = []): VerifyReport {
  const path = join(log.dir, `export${files++}.jsonl`);
  writeFileSync(path, typeof text === "string" ? text : text.map((line) => `${line}\n`).join(""));
  return verifyExport(path, { trust: readTrust(kid), strict: true, anchors });
}
const headed = (change: Partial<Record<keyof ExportHead, unknown>>): readonly string[] =>
  lines.with(0, JSON.stringify({ ...JSON.parse(lines[0] ?? ""), ...change }));
const note = (): string => JSON.parse(lines[0] ?? "").checkpoint;

test("as it was made it is intact, from there on", () => {
  const report = verdict(lines, [anchor(size)]);
  expect(report).toMatchObject({
    verdict: "intact",
    since: FROM,
    entries: size,
    checkpoints: 1,
    anchored_to: size,
  });
});

test.each([
  [
    "its checkpoint is of another root",
    () => headed({ checkpoint: note().replace(/\n.{44}\n/, `\n${"A".repeat(43)}=\n`) }),
    10,
  ],
  [
    "nobody signed its checkpoint",
    () => headed({ checkpoint: note().replace(/.{9}=\n$/, "AAAAAAAAA=\n") }),
    11,
  ],
  ["its head is of another log", () => headed({ log: "01a205ba-0000-7000-8000-000000000000" }), 10],
  ["its head names another entry before", () => headed({ prev: "0".repeat(64) }), 10],
  ["it ends too early", () => lines.slice(0, -1), 10],
  ["it goes on for too long", () => headed({ to: size - 2, checkpoint: null }), 10],
  ["an entry is left out", () => lines.toSpliced(2, 1), 10],
  [
    "an entry stands under another position",
    () => lines.with(2, (lines[2] ?? "").replace('"seq":4', '"seq":9')),
    10,
  ],
  ["an entry is changed", () => lines.with(2, (lines[2] ?? "").replace(/.{8}"}$/, 'AAAAAAAA"}')), 10],
] as const)("damaged: %s", (_, change, exit) => {
  const report = verdict(change());
  expect(report).toMatchObject({ verdict: "damaged", exit_code: exit });
});

test("damaged: it contradicts an anchor, or cannot be held against one", () => {
  for (const one of [anchor(size, "0".repeat(64)), anchor(size + 1, "0".repeat(64)), anchor(FROM - 1)])
    expect(verdict(lines, [one])).toMatchObject({ exit_code: 12, anchored_to: null, damage: { anchor: 1 } });
  // What lies before it is borne out by its edge, as far as that reaches.
  expect(verdict(lines, [anchor(FROM)])).toMatchObject({ exit_code: 0, anchored_to: FROM });
});

test.each([
  ["no head", () => lines.slice(1)],
  ["a head of another version", () => headed({ v: 2 })],
  ["a range that ends before it begins", () => headed({ to: FROM - 1 })],
  ["a beginning at nothing", () => headed({ prev: null })],
  ["an edge of another size", () => headed({ edge: [] })],
  ["no keys", () => headed({ keys: null })],
  ["keys that are none", () => headed({ keys: {} })],
  [
    "one key for two purposes",
    () => {
      const { keys } = JSON.parse(lines[0] ?? "");
      return headed({ keys: { ...keys, recovery: keys.checkpoint } });
    },
  ],
  ["a checkpoint that is none", () => headed({ checkpoint: "none" })],
  ["a position that is none", () => lines.with(2, (lines[2] ?? "").replace('"seq":4', '"seq":-4'))],
  ["a line without an entry", () => lines.with(2, '{"seq":4}')],
  ["a line that is not json", () => lines.with(2, "{")],
] as const)("unreadable: %s", (_, change) => {
  expect(() => verdict(change())).toThrow("cannot be read as an export");
});

test("unreadable: a last line that is cut off, though what is left of it is an entry", () => {
  expect(() => verdict(lines.join("\n"))).toThrow("its last line is cut off");
});
