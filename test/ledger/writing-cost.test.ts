/** What a commit writes depends on what is in it, and not on how long the log is. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { APPROVAL_TABLES } from "../../src/approvals/state.ts";
import { BUDGET_TABLES } from "../../src/budgets/state.ts";
import { ACTS } from "../../src/gate/acts/index.ts";
import { Keyring } from "../../src/ledger/keyring.ts";
import { openLedgerDatabase, openPayloadDatabase } from "../../src/ledger/store/database.ts";
import { LedgerWriter } from "../../src/ledger/writer.ts";
import { call, opening } from "../bench/made-ledger.ts";

/** https://sqlite.org/fileformat2.html#walformat */
const WAL_HEADER = 32;
const FRAME = 24 + 4096;

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "latchgate-cost-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test("a call late in a log writes as many pages as an early one", async () => {
  const ledger = join(dir, "ledger.db");
  const db = openLedgerDatabase(ledger, [BUDGET_TABLES, APPROVAL_TABLES]);
  const writer = new LedgerWriter({
    db,
    payloads: openPayloadDatabase(join(dir, "payloads.db")),
    keyring: new Keyring(join(dir, "keys")),
    acts: ACTS,
    now: Date.now,
    gateVersion: "test",
  });
  await writer.run(opening());
  const grow = async (calls: number) => {
    for (let i = 0; i < calls; i += 250) await writer.run(Array.from({ length: 250 }, call).flat());
  };
  /** Pages that one call's two acts write, in commits of their own. */
  const pagesOfACall = async () => {
    const calls = 32;
    db.run("PRAGMA wal_checkpoint(TRUNCATE)");
    db.run("PRAGMA wal_autocheckpoint = 0");
    for (let i = 0; i < calls; i++) for (const act of call()) await writer.run([act]);
    db.run("PRAGMA wal_autocheckpoint = 4000");
    return (statSync(`${ledger}-wal`).size - WAL_HEADER) / FRAME / calls;
  };
  await grow(500);
  const early = await pagesOfACall();
  await grow(6000);
  const late = await pagesOfACall();
  expect(early).toBeGreaterThan(4);
  // A tree of pages that has got a level more splits one more page, once in many entries.
  expect(late).toBeLessThan(early * 1.15);
  writer.close();
}, 180_000);
