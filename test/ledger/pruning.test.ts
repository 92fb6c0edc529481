/** What pruning leaves in the files, and what a start makes good. */
import { Database } from "bun:sqlite";
import { afterEach, expect, test } from "bun:test";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { openPayloadFile } from "../../src/ledger/store/payload-file.ts";
import { commit, makePayload } from "../../src/ledger/store/payloads.ts";
import { verifyLedgerFile } from "../../src/ledger/verify/file.ts";
import { payloadOf, readRows, rewrite, withDatabase } from "./forge.ts";
import { type ScratchLog, scratchLog, task } from "./scratch-log.ts";

const logs: ScratchLog[] = [];
afterEach(() => {
  for (const log of logs.splice(0)) log.remove();
});
function fresh(): ScratchLog {
  const log = scratchLog();
  logs.push(log);
  return log;
}

async function store(log: ScratchLog, text: string, named = true): Promise<string> {
  const payload = makePayload("fs_root", Buffer.from(text));
  await log.writer.run([named ? task("lease", commit(payload), [payload]) : task("read", null, [payload])]);
  return commit(payload).commitment;
}

function there(log: ScratchLog, table: "payloads" | "payload_keys"): string[] {
  const db = new Database(log.payloads, { readonly: true });
  try {
    return db
      .query<{ commitment: string }, []>(`SELECT commitment FROM ${table} ORDER BY commitment`)
      .all()
      .map(({ commitment }) => commitment);
  } finally {
    db.close();
  }
}

const sideTable = (log: ScratchLog) =>
  verifyLedgerFile(log.ledger, { trust: { fingerprints: new Set() }, strict: true }).damage.side_table ?? 0;

test("keys and bodies go together, up to the time, and nothing twice", async () => {
  const log = fresh();
  const [a, b] = [await store(log, "a"), await store(log, "b")];
  const [cut] = (await log.writer.run([task("read")])) as [number];
  const c = await store(log, "c");
  expect(await log.writer.run([task("prune", cut), task("prune", cut)])).toEqual([
    { payloads: 2, bytes: 2, more: false },
    null,
  ]);
  expect(there(log, "payloads")).toEqual([c]);
  expect(there(log, "payload_keys")).toEqual([c]);
  expect(payloadOf(readRows(log.ledger).at(-1) ?? { jws: "" })).toMatchObject({ payloads: 2, bytes: 2 });
  const marked = log.db.query<{ commitment: string }, []>("SELECT commitment FROM pruned").all();
  expect(marked.map(({ commitment }) => commitment).sort()).toEqual([a, b].sort());
  expect(sideTable(log)).toBe(0);
  log.abandon();
});

test("another list than was signed is found", async () => {
  const log = fresh();
  await store(log, "a");
  const b = await store(log, "b");
  await log.writer.run([task("prune", 4_000_000_000_000)]);
  log.abandon();
  withDatabase(log.ledger, (db) =>
    db.query("UPDATE pruned SET commitment = ? WHERE commitment = ?").run("0".repeat(64), b),
  );
  expect(sideTable(log)).toBe(1);
});

test("an act that tells another number of payloads than its list has is found, whoever signed it", async () => {
  const log = fresh();
  await store(log, "a");
  await log.writer.run([task("prune", 4_000_000_000_000)]);
  log.abandon();
  const told = (payloads: number) => {
    rewrite(log.ledger, {
      keys: log.keys,
      edit: (text) => text.replace(/"payloads":\d+/, `"payloads":${payloads}`),
    });
    return sideTable(log);
  };
  expect([told(1), told(2)]).toEqual([0, 1]);
});

test("a payload that is marked as pruned by no act is found", async () => {
  const log = fresh();
  const kept = await store(log, "a");
  log.abandon();
  for (const seq of [1, 99]) {
    const copy = join(log.dir, `marked${seq}.db`);
    copyFileSync(log.ledger, copy);
    withDatabase(copy, (db) => db.query("INSERT INTO pruned (commitment, seq) VALUES (?, ?)").run(kept, seq));
    expect(sideTable({ ...log, ledger: copy })).toBe(1);
  }
});

test("a body that is gone without an act is found by who has the payloads, and by nobody else", async () => {
  const log = fresh();
  const [, b] = [await store(log, "a"), await store(log, "b")];
  log.abandon();
  const missing = () => {
    const payloads = openPayloadFile(log.payloads);
    try {
      const options = { trust: { fingerprints: new Set<string>() }, strict: true };
      return verifyLedgerFile(log.ledger, { ...options, payloads }).damage;
    } finally {
      payloads.close();
    }
  };
  expect(missing()).toEqual({});
  withDatabase(log.payloads, (db) =>
    db.query("UPDATE payloads SET sealed = zeroblob(64) WHERE commitment = ?").run(b),
  );
  expect(missing()).toEqual({ side_table: 1 });
  withDatabase(log.payloads, (db) => db.query("DELETE FROM payloads WHERE commitment = ?").run(b));
  expect(missing()).toEqual({ side_table: 1 });
  expect(sideTable(log)).toBe(0);
});

test("a payload that no entry names is swept at the next start; those that one names are not, start after start", async () => {
  const log = fresh();
  const named = await store(log, "named");
  const orphan = await store(log, "orphan", false);
  expect(there(log, "payloads")).toEqual([named, orphan].sort());
  log.abandon();
  const again = scratchLog(log.dir);
  expect(there(again, "payloads")).toEqual([named]);
  const later = await store(again, "later");
  await store(again, "another orphan", false);
  const third = again.reopen();
  expect(there(third, "payloads")).toEqual([named, later].sort());
  expect(there(third, "payload_keys")).toEqual([named, later].sort());
  // All gone by the tool: row numbers start anew, and so does the sweep.
  await third.writer.run([task("prune", 4_000_000_000_000)]);
  await store(third, "one more orphan", false);
  const last = await store(third, "last");
  const fourth = third.reopen();
  expect(there(fourth, "payloads")).toEqual([last]);
  fourth.abandon();
});
