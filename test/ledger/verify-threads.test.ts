/** The verdict does not depend on the number of threads. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { verifyLedgerFile, verifyLedgerFileWith } from "../../src/ledger/verify/file.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";
import {
  keyDirectory,
  packEntries,
  unpackVouched,
  vouch,
  vouchPacked,
} from "../../src/ledger/verify/vouch.ts";
import { leafOf, readRows, withDatabase } from "./forge.ts";
import { type ScratchLog, scratchLog, task } from "./scratch-log.ts";

const ENTRIES = 2500;
let log: ScratchLog;
beforeAll(async () => {
  log = scratchLog();
  await log.writer.run(Array.from({ length: 1200 }, () => task("stop")));
  for (const purpose of ["evidence", "checkpoint", "evidence"])
    await log.writer.run([task("rotate", purpose)]);
  await log.writer.run(Array.from({ length: ENTRIES - 1204 }, () => task("stop")));
  log.writer.close();
});
afterAll(() => log.remove());

const options = { trust: readTrust(undefined), strict: true };
const sql = (text: string) => (path: string) => withDatabase(path, (db) => db.run(text));
const DAMAGE: readonly (readonly [what: string, change: (path: string) => unknown, exit: number])[] = [
  ["nothing", () => undefined, 0],
  [
    "a changed signature",
    sql("UPDATE entries SET jws = substr(jws, 1, length(jws) - 9) || 'AAAAAAAAA' WHERE seq IN (700, 2000)"),
    10,
  ],
  [
    "trailing bits",
    sql("UPDATE entries SET jws = substr(jws, 1, length(jws) - 1) || 'B' WHERE seq = 900"),
    10,
  ],
  ["an entry that is not ascii", sql("UPDATE entries SET jws = jws || 'é' WHERE seq = 3"), 10],
  ["lines in an entry", sql("UPDATE entries SET jws = jws || char(10) || jws WHERE seq = 3"), 10],
  ["an empty entry", sql("UPDATE entries SET jws = '' WHERE seq = 2499"), 10],
  ["an entry of another class", sql("UPDATE entries SET jws = x'00' WHERE seq = 5"), 10],
  ["a stored hash", sql("UPDATE entries SET hash = zeroblob(32) WHERE seq = 1201"), 13],
  ["a hidden rotation", sql("UPDATE entries SET type = 'gate.stopped' WHERE type = 'key.rotated'"), 13],
  ["a missing entry", sql("DELETE FROM entries WHERE seq = 1200"), 10],
];

test.each(DAMAGE)("%s", async (_, change, exit) => {
  const copy = join(log.dir, "copy.db");
  copyFileSync(log.ledger, copy);
  change(copy);
  const alone = verifyLedgerFile(copy, options);
  expect(alone.exit_code).toBe(exit);
  for (const threads of [1, 3]) expect(await verifyLedgerFileWith(threads, copy, options)).toEqual(alone);
});

test("a thread vouches for an entry under a key that it was given, and for nothing else", () => {
  const [opening = "", second = ""] = readRows(log.ledger).map(({ jws }) => jws);
  const x = /"x":"([^"]+)"/g;
  const keys = [
    ...Buffer.from(opening.split(".")[1] ?? "", "base64url")
      .toString()
      .matchAll(x),
  ].flatMap(([, key]) => key ?? []);
  const directory = keyDirectory(keys);
  expect(vouch(second, directory)).toEqual({ leaf: leafOf(second), sound: true });
  expect(vouch(second, new Map()).sound).toBe(false);
  expect(vouch(second.slice(0, -2), directory).sound).toBe(false);
  const [header = "", , signature = ""] = second.split(".");
  expect(vouch([header, opening.split(".")[1], signature].join("."), directory).sound).toBe(false);
  const entries = [second, `${second}\n${second}`, "", "é", opening, "\ufeffx", `\ufeff${second}`];
  const answer = unpackVouched(vouchPacked(packEntries(entries), directory), entries);
  expect(answer.map(({ sound }) => sound)).toEqual([true, false, false, false, true, false, false]);
  expect(answer.map(({ leaf }) => leaf)).toEqual(entries.map(leafOf));
  expect(() => unpackVouched(new Uint8Array(33), ["a", "b"])).toThrow("other entries");
});
