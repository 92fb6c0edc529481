import { afterEach, expect, test } from "bun:test";
import { LedgerError } from "../../src/ledger/errors.ts";
import { makePayload } from "../../src/ledger/store/payloads.ts";
import { verifyLedgerFile } from "../../src/ledger/verify/file.ts";
import { leafOf, payloadOf, readRows, withDatabase } from "./forge.ts";
import { type ScratchLog, scratchLog, task } from "./scratch-log.ts";

const logs: ScratchLog[] = [];
const fresh = () => {
  const log = scratchLog();
  logs.push(log);
  return log;
};
afterEach(() => {
  for (const log of logs.splice(0)) log.remove();
});

const verdict = (log: ScratchLog) =>
  verifyLedgerFile(log.ledger, { trust: { fingerprints: new Set() }, strict: true });

test("a group is one commit: its entries are linked, and each task gets its own result", async () => {
  const log = fresh();
  const results = await log.writer.run([
    task("stop", "a"),
    task("twice", "b"),
    task("read"),
    task("stop", "c"),
  ]);
  const rows = readRows(log.ledger);
  expect(rows.map((row) => payloadOf(row).reason ?? null)).toEqual([null, "a", "b", "b", "c"]);
  expect(rows.map((row) => payloadOf(row).prev)).toEqual([
    null,
    ...rows.slice(0, -1).map(({ jws }) => leafOf(jws).toString("hex")),
  ]);
  expect(results[0]).toMatchObject({
    seq: 1,
    jws: rows[1]?.jws,
    leafHash: leafOf(rows[1]?.jws ?? "").toString("hex"),
  });
  expect(results[1]).toMatchObject([{ seq: 2 }, { seq: 3 }]);
  expect(results[2]).toBeNumber();
  const times = rows.slice(1).map((row) => payloadOf(row).time);
  expect(new Set(times).size).toBe(1);
  expect(verdict(log)).toMatchObject({ verdict: "consistent", entries: 5 });
  log.abandon();
});

test("an act that throws leaves nothing of its group, neither entries nor state, and ends the writer", async () => {
  const log = fresh();
  await log.writer.run([task("stop", "before")]);
  expect(log.writer.run([task("stop", "same group"), task("state", "x"), task("fail")])).rejects.toThrow(
    "this act fails",
  );
  expect(readRows(log.ledger).map((row) => payloadOf(row).reason ?? null)).toEqual([null, "before"]);
  expect(log.db.query("SELECT value FROM meta WHERE name = 'test'").get()).toBeNull();
  expect(log.writer.run([task("stop", "after")])).rejects.toThrow("failed before");
  expect(readRows(log.ledger)).toHaveLength(2);
  log.abandon();
  // What is on disk is whole: the next writer goes on from it.
  const again = scratchLog(log.dir);
  await again.writer.run([task("stop", "after")]);
  expect(verdict(again)).toMatchObject({ verdict: "consistent", entries: 3 });
  again.abandon();
});

test("an entry that no verifier would take is not signed", async () => {
  for (const reason of ["x".repeat(257), "\ud800", 1]) {
    const log = fresh();
    expect(log.writer.run([task("stop", reason)])).rejects.toThrow("does not fit its schema");
    expect(readRows(log.ledger)).toHaveLength(1);
    log.abandon();
  }
});

test("a head on disk that somebody else changed stops the writer", async () => {
  const changes = [
    "DELETE FROM entries WHERE seq = 1",
    "UPDATE entries SET hash = zeroblob(32) WHERE seq = 1",
    "INSERT INTO entries (seq, id, type, time_ms, jws, hash) VALUES (2, 'x', 'x', 0, 'x', zeroblob(32))",
  ];
  for (const sql of changes) {
    const log = fresh();
    await log.writer.run([task("stop")]);
    withDatabase(log.ledger, (db) => db.run(sql));
    const before = readRows(log.ledger).length;
    const failed = await log.writer.run([task("stop")]).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(LedgerError);
    expect(failed).toMatchObject({ code: "ledger_damaged" });
    expect(readRows(log.ledger)).toHaveLength(before);
    log.abandon();
  }
});

test("a log goes on where it ended, under the same id and keys, with a checkpoint over each run", async () => {
  const log = fresh();
  await log.writer.run([task("stop", "first")]);
  const again = log.reopen();
  expect(again.writer.logId).toBe(log.writer.logId);
  await again.writer.run([task("stop", "second")]);
  const last = again.reopen();
  expect(verdict(last)).toMatchObject({ verdict: "consistent", entries: 3, checkpoints: 2 });
  last.abandon();
});

test("a payload is in its file when the entry that commits to it is durable, and stays with a group that failed", async () => {
  const log = fresh();
  const payload = makePayload("call", Buffer.from("body"));
  await log.writer.run([task("stop", "with payload", [payload])]);
  const count = () =>
    withDatabase(
      log.payloads,
      (db) => db.query<{ n: number }, []>("SELECT count(*) AS n FROM payloads").get()?.n,
    );
  expect(count()).toBe(1);
  // The same payload again cannot be stored: then the entries of its group must not be either.
  await log.writer.run([task("stop", "again", [payload])]).catch(() => undefined);
  expect(count()).toBe(1);
  log.abandon();
});

test("rotations of every purpose, in one group and in several, keep the log valid", async () => {
  const log = fresh();
  await log.writer.run([
    task("rotate", "evidence"),
    task("stop"),
    task("rotate", "evidence"),
    task("rotate", "lease"),
  ]);
  await log.writer.run([task("rotate", "checkpoint"), task("stop")]);
  const again = log.reopen();
  await again.writer.run([task("stop")]);
  expect(verdict(again)).toMatchObject({ verdict: "consistent", entries: 8 });
  expect(verdict(again).signers).toHaveLength(3);
  again.abandon();
});
