/** What threads say of a damaged file is what one says of it alone; and a file that tells each reader another thing is none. */
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LedgerError } from "../../src/ledger/errors.ts";
import { verifyLedgerFile, verifyLedgerFileWith } from "../../src/ledger/verify/file.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";
import { mutations } from "../independent/mutations.ts";
import { withDatabase } from "./forge.ts";

/** Enough for threads, in more ranges than one. */
const ENTRIES = 2100;
const MAKER = join(import.meta.dir, "../bench/made-ledger.ts");
let folder: string;
let ledger: string;
beforeAll(async () => {
  folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "latchgate-threads-"));
  ledger = join(folder, "ledger.db");
  const maker = Bun.spawn([process.execPath, MAKER, folder, String(ENTRIES)], { stdout: "ignore" });
  expect(await maker.exited).toBe(0);
  expect(verifyLedgerFile(ledger, options).exit_code).toBe(0);
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const options = { trust: readTrust(undefined), strict: true };

function copied(): string {
  const copy = join(folder, "copy.db");
  for (const suffix of ["", "-wal", "-shm"]) rmSync(copy + suffix, { force: true });
  copyFileSync(ledger, copy);
  return copy;
}

/** The report, or the code and the message of the error. */
async function said(threads: number, path: string): Promise<object> {
  try {
    return await verifyLedgerFileWith(threads, path, options);
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error;
    return { code: error.code };
  }
}

test("one thread and two give the same report on every mutated ledger", async () => {
  const all = mutations(31, 1).filter(({ name }) => !name.startsWith("signed again"));
  const exits = new Set<unknown>();
  for (const mutation of all) {
    const path = copied();
    mutation.apply({ ledger: path, keys: folder });
    const alone = await said(1, path);
    expect({ name: mutation.name, report: await said(2, path) }).toEqual({
      name: mutation.name,
      report: alone,
    });
    exits.add("exit_code" in alone ? alone.exit_code : 1);
  }
  expect(exits).toEqual(new Set([0, 1, 10, 13]));
}, 120_000);

const VIEW = "CREATE VIEW other AS SELECT random() AS seq";
const VIEWS: readonly (readonly [what: string, make: (path: string) => unknown])[] = [
  [
    "a view of the entries",
    (path) =>
      withDatabase(path, (db) => {
        db.run("ALTER TABLE entries RENAME TO kept");
        db.run("CREATE VIEW entries AS SELECT * FROM kept WHERE random() IS NOT NULL");
      }),
  ],
  [
    "a virtual table",
    (path) => withDatabase(path, (db) => db.run("CREATE VIRTUAL TABLE other USING fts5(words)")),
  ],
  [
    "a view that the schema calls something else",
    (path) => {
      withDatabase(path, (db) => {
        db.run("PRAGMA journal_mode = DELETE");
        db.run(VIEW);
      });
      const bytes = readFileSync(path);
      const at = bytes.indexOf(`viewotherother${VIEW}`);
      expect(at).toBeGreaterThan(0);
      bytes.write("tabl", at);
      writeFileSync(path, bytes);
    },
  ],
];
test.each(VIEWS)("%s makes a file no ledger", async (_, make) => {
  const path = copied();
  make(path);
  for (const threads of [1, 2]) expect(await said(threads, path)).toEqual({ code: "ledger_unreadable" });
});

test("a log that is written while threads verify it is verified as it was", async () => {
  const path = copied();
  const writer = new Database(path);
  try {
    writer.run("PRAGMA journal_mode = WAL");
    const before = verifyLedgerFile(path, options);
    // The state to be checked is taken before this returns; the threads look at the file after it.
    const under = verifyLedgerFileWith(2, path, options);
    writer.run(
      `INSERT INTO entries SELECT (SELECT max(seq) + 1 FROM entries), 'forged', type, time_ms, trace_id, tenant,
         principal, action_id, decision, jws, hash FROM entries WHERE seq = 5`,
    );
    // Of some ranges the threads can vouch for a part, of others for nothing.
    writer.run("UPDATE entries SET tenant = 'other' WHERE seq % 300 = 7 OR seq > 1000");
    writer.run("DELETE FROM entries WHERE seq = 1500");
    expect(await under).toEqual(before);
    expect((await verifyLedgerFileWith(2, path, options)).exit_code).toBe(10);
  } finally {
    writer.close();
  }
}, 60_000);
