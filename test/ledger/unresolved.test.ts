/** Grants without a receipt, by the signed entries of a file alone. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readUnresolved } from "../../src/ledger/verify/unresolved.ts";
import { withDatabase } from "./forge.ts";
import { grant, policy, receipt, UUID } from "./said.ts";
import { type ScratchLog, scratchLog, task } from "./scratch-log.ts";

const OPEN = "01a205ba-0000-7000-8000-00000000ffff";
let log: ScratchLog;
beforeAll(async () => {
  log = scratchLog();
  const other = { cause: { kind: "proof", proof: "f".repeat(64), approval_id: null, idempotency: null } };
  for (const said of [
    policy(null, "ours"),
    grant("ours"),
    grant("ours", { ...other, grant_id: OPEN }),
    receipt(),
  ])
    await log.writer.run([task("say", said)]);
  log.writer.close();
});
afterAll(() => log.remove());

test("those that are open are listed, whatever the table beside the log says", () => {
  expect(readUnresolved(log.ledger).map(({ grant_id }) => grant_id)).toEqual([OPEN]);
  withDatabase(log.ledger, (db) =>
    db
      .query(
        "INSERT INTO grants (grant_id, seq, session_id, principal, receipt_id, receipt_seq) VALUES (?, 3, ?, 'p', ?, 9)",
      )
      .run(OPEN, UUID, UUID),
  );
  expect(readUnresolved(log.ledger).map(({ grant_id }) => grant_id)).toEqual([OPEN]);
});

test("a file in which an entry is not what it should be lists nothing", () => {
  const copy = join(log.dir, "copy.db");
  copyFileSync(log.ledger, copy);
  withDatabase(copy, (db) => db.run("DELETE FROM entries WHERE seq = 4"));
  // Without its receipt the other grant would be listed as open: a cut tail shows in no file, a hole does.
  expect(readUnresolved(copy).map(({ grant_id }) => grant_id)).toEqual([UUID, OPEN]);
  withDatabase(copy, (db) => db.run("DELETE FROM entries WHERE seq = 1"));
  expect(() => readUnresolved(copy)).toThrow("damaged: chain");
  const none = join(log.dir, "none.db");
  writeFileSync(none, "none");
  for (const path of [none, join(log.dir, "absent.db")]) expect(() => readUnresolved(path)).toThrow();
});
