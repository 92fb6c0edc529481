/** The verdict does not depend on the number of threads. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { verifyLedgerFile, verifyLedgerFileWith } from "../../src/ledger/verify/file.ts";
import { LogVerifier } from "../../src/ledger/verify/log-verifier.ts";
import { keysNamedIn } from "../../src/ledger/verify/named-keys.ts";
import { type FileRow, shortRows } from "../../src/ledger/verify/rows.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";
import { KeyDirectory, vouch, vouchFirst } from "../../src/ledger/verify/vouch.ts";
import { packVouched, readVouched, unpackVouched } from "../../src/ledger/verify/vouched-batch.ts";
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

test.each(DAMAGE)("%s", async (what, change, exit) => {
  // Each its own file: a write-ahead log that a thread has not let go of yet would be read as that of the next.
  const copy = join(log.dir, `${what}.db`);
  copyFileSync(log.ledger, copy);
  change(copy);
  const alone = verifyLedgerFile(copy, options);
  expect(alone.exit_code).toBe(exit);
  for (const threads of [1, 3]) expect(await verifyLedgerFileWith(threads, copy, options)).toEqual(alone);
});

test("what is vouched for first is judged as what is looked at entry by entry", () => {
  const verifier = new LogVerifier([]);
  for (const row of readRows(log.ledger)) verifier.take(row);
  const { checkpoints: _, ...alone } = verifier.finish(options.trust, options.strict);
  expect(verifyLedgerFile(log.ledger, options)).toMatchObject(alone);
});

const KEY = /"x":"([^"]+)"/g;

test("a thread vouches for an entry under a key that it was given, and for nothing else", () => {
  const rows = withDatabase(log.ledger, (db) => shortRows(db, { from: 0, to: 3 }));
  const [opening, second] = rows as [FileRow, FileRow];
  const jws = String(second.jws);
  const opened = Buffer.from(String(opening.jws).split(".")[1] ?? "", "base64url").toString();
  const directory = new KeyDirectory([...opened.matchAll(KEY)].flatMap(([, key]) => key ?? []));
  const vouched = vouch(second, directory);
  expect(vouched).toMatchObject({ leaf: leafOf(jws) });
  expect(JSON.parse(vouched?.text ?? "")).toMatchObject({ seq: 1, type: "gate.stopped" });
  expect(vouch(second, new KeyDirectory([]))).toBeNull();
  const [header = "", , signature = ""] = jws.split(".");
  const other = String(opening.jws).split(".")[2];
  const texts = [
    jws.slice(0, -2),
    [header, jws.split(".")[1], other].join("."),
    [header, String(opening.jws).split(".")[1], signature].join("."),
    `${jws}\n${jws}`,
    `\ufeff${jws}`,
    "é",
    "",
    null,
    new Uint8Array(3),
  ];
  for (const text of texts) {
    const hash = leafOf(String(text));
    expect(vouch({ ...second, jws: text, hash }, directory)).toBeNull();
  }
  const beside: Partial<FileRow>[] = [
    { seq: 2 },
    { seq: "1" },
    { hash: new Uint8Array(32) },
    { hash: "hash" },
    { id: opening.id },
    { type: "gate.started" },
    { time_ms: Number(second.time_ms) + 1 },
    { time_ms: String(second.time_ms) },
    { principal: "uid:1" },
    { tenant: "" },
  ];
  expect(vouchFirst([opening, second], 0, directory)).toHaveLength(2);
  expect(vouchFirst([opening, second, second], 0, directory)).toHaveLength(2);
  expect(vouchFirst([opening, second], 1, directory)).toHaveLength(0);
  for (const change of beside) {
    expect(vouch({ ...second, ...change }, directory)).toBeNull();
    expect(vouchFirst([opening, { ...second, ...change }, second], 0, directory)).toHaveLength(1);
  }
});

test("an entry that was vouched for, signed by a retired key or not yet in force, is damage all the same", () => {
  const rows = withDatabase(log.ledger, (db) => shortRows(db, { from: 0, to: ENTRIES }));
  const keys = new KeyDirectory(withDatabase(log.ledger, keysNamedIn));
  const vouched = readVouched(vouchFirst(rows, 0, keys));
  const kids = [...new Set(vouched.map(({ kid }) => kid))];
  for (const at of [1300, 1100]) {
    const verifier = new LogVerifier([]);
    for (const one of vouched) {
      const kid = at === one.payload.seq ? (kids[at === 1300 ? 0 : 1] ?? "") : one.kid;
      expect(verifier.takeVouched({ ...one, kid }) === null).toBe(at === one.payload.seq);
    }
    const report = verifier.finish(options.trust, options.strict);
    expect(report).toMatchObject({
      exit_code: 11,
      first_damage: { kind: "key", seq: at },
      damage: { key: 1 },
    });
  }
});

test("what a thread vouches for arrives as it was", () => {
  const rows = withDatabase(log.ledger, (db) => shortRows(db, { from: 1199, to: 1210 }));
  const keys = withDatabase(log.ledger, keysNamedIn);
  const vouched = vouchFirst(rows, 1199, new KeyDirectory(keys));
  expect(vouched).toHaveLength(11);
  expect(new Set(vouched.map(({ kid }) => kid)).size).toBe(3);
  const batch = packVouched(vouched);
  expect(unpackVouched(structuredClone(batch))).toEqual(readVouched(vouched));
  expect(() => unpackVouched({ ...batch, leaves: batch.leaves.slice(32) })).toThrow("other entries");
});

test("rows that are long are not read at once, whichever column makes them so", () => {
  const copy = join(log.dir, "long.db");
  copyFileSync(log.ledger, copy);
  withDatabase(copy, (db) => {
    for (const [seq, column] of ["jws", "hash", "id", "type", "tenant", "principal", "decision"].entries())
      db.run(`UPDATE entries SET ${column} = zeroblob(65536) WHERE seq = ${seq}`);
    expect(shortRows(db, { from: 0, to: 10 }).map(({ seq }) => seq)).toEqual([7, 8, 9]);
  });
});

test("what stands beside grants and receipts must say what they say", async () => {
  const folder = join(log.dir, "made");
  mkdirSync(folder);
  const maker = Bun.spawn([process.execPath, join(import.meta.dir, "../bench/made-ledger.ts"), folder, "20"]);
  expect(await maker.exited).toBe(0);
  const { rows, keys } = withDatabase(join(folder, "ledger.db"), (db) => ({
    rows: shortRows(db, { from: 0, to: 20 }),
    keys: new KeyDirectory(keysNamedIn(db)),
  }));
  const grant = rows.find(({ type }) => type === "call.granted") as FileRow;
  const receipt = rows.find(({ type }) => type === "call.receipt") as FileRow;
  expect([grant, receipt].map((row) => vouch(row, keys))).not.toContain(null);
  const changes: readonly (readonly [FileRow, Partial<FileRow>])[] = [
    [grant, { grant_id: receipt.receipt_id }],
    [grant, { grant_id: null }],
    [grant, { grant_approval: grant.grant_id }],
    [grant, { grant_approval: "null" }],
    [grant, { grant_session: grant.grant_id }],
    [grant, { grant_principal: "uid:1" }],
    [receipt, { grant_id: receipt.receipt_id }],
    [receipt, { receipt_id: receipt.grant_id }],
    [receipt, { receipt_id: null }],
    [receipt, { type: "call.granted" }],
    [receipt, { decision: null }],
    [receipt, { trace_id: grant.grant_id }],
  ];
  for (const [row, change] of changes) expect(vouch({ ...row, ...change }, keys)).toBeNull();
}, 60_000);
