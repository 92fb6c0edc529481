/** Checkpoints outside of the data folder, and what they keep from being taken for the newest log. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LedgerError } from "../../src/ledger/errors.ts";
import { Mirrors } from "../../src/ledger/mirrors.ts";
import { readRows } from "./forge.ts";
import { type ScratchLog, scratchLog, task } from "./scratch-log.ts";

let folder: string;
let mirror: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "latchgate-mirror-"));
  mirror = join(folder, "mirror");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = (name: string): ScratchLog => scratchLog(join(folder, name), { mirrors: new Mirrors([mirror]) });

function refusal(work: () => unknown): string {
  try {
    work();
    return "none";
  } catch (error) {
    expect(error).toBeInstanceOf(LedgerError);
    return (error as LedgerError).code;
  }
}

/** A log of three runs, with copies of its folder as each left it. */
async function lived(): Promise<void> {
  for (const run of ["1", "2", "3"]) {
    const log = open("log");
    await log.writer.run([task("stop", run), task("stop", run)]);
    log.writer.close();
    cpSync(join(folder, "log"), join(folder, `copy${run}`), { recursive: true });
  }
}

test("each checkpoint is appended, and the log that made them opens", async () => {
  await lived();
  expect(readFileSync(mirror, "utf8").match(/^latchgate\//gm)).toHaveLength(3);
  open("log").abandon();
});

test("a restored backup is refused, and its newer entries are not overwritten", async () => {
  await lived();
  for (const run of ["1", "2"]) expect(refusal(() => open(`copy${run}`))).toBe("ledger_rolled_back");
  open("copy3").abandon();
});

test("a log that went another way since is refused, though it is longer", async () => {
  await lived();
  const other = scratchLog(join(folder, "copy2"));
  await other.writer.run(Array.from({ length: 20 }, () => task("stop", "another way")));
  other.writer.close();
  expect(refusal(() => open("copy2"))).toBe("ledger_rolled_back");
});

test("a new log in the place of the one that was seen is refused, and none is begun", async () => {
  await lived();
  expect(refusal(() => open("nothing"))).toBe("ledger_rolled_back");
  expect(readRows(join(folder, "nothing", "ledger.db"))).toEqual([]);
  expect(readdirSync(join(folder, "nothing", "keys"))).toEqual([]);
  scratchLog(join(folder, "elsewhere")).writer.close();
  expect(refusal(() => open("elsewhere"))).toBe("ledger_rolled_back");
});

test("half a record, as a crash leaves it, is passed over, and what follows is read", async () => {
  await lived();
  const note = readFileSync(mirror, "utf8").split("\n\n\n").at(-1) ?? "";
  for (const cut of [5, note.indexOf("\n\n") + 1, note.length - 3]) {
    appendFileSync(mirror, note.slice(0, cut));
    const log = open("log");
    await log.writer.run([task("stop")]);
    log.writer.close();
    expect(refusal(() => open("copy3"))).toBe("ledger_rolled_back");
  }
  open("log").abandon();
});

test("a mirror that is not one keeps the log closed", () => {
  writeFileSync(mirror, "no checkpoint\n");
  expect(refusal(() => new Mirrors([mirror]))).toBe("ledger_mirror_failed");
  rmSync(mirror);
  symlinkSync("/dev/null", mirror);
  expect(refusal(() => new Mirrors([mirror]))).toBe("ledger_mirror_failed");
  expect(refusal(() => new Mirrors([folder]))).toBe("ledger_mirror_failed");
  expect(refusal(() => new Mirrors(["/dev/null"]))).toBe("ledger_mirror_failed");
  expect(refusal(() => new Mirrors([join(folder, "absent", "mirror")]))).toBe("ledger_mirror_failed");
});
