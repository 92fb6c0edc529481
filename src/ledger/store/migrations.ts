import type { Database } from "bun:sqlite";
import { isFault, readPayload } from "../entry/entry.ts";
import { leafHash, openJws } from "../entry/jws.ts";
import { CompactTree } from "../tree.ts";
import { TreeStore } from "../tree-store.ts";

/** What brings a ledger file of the schema that names it to the next one. Each runs once, in one transaction. */
const MIGRATIONS: ReadonlyMap<number, (db: Database) => void> = new Map([
  [1, fillTree],
  [2, sealFolders],
]);

/** Schema 1 had no nodes: they are computed from the entries, of which nothing but the signed text is believed. */
function fillTree(db: Database): void {
  db.run("DELETE FROM nodes");
  const store = new TreeStore(db);
  const tree = new CompactTree();
  const rows = db.query<{ jws: string }, []>("SELECT jws FROM entries ORDER BY seq");
  for (const { jws } of rows.iterate()) store.write(tree.push(leafHash(jws)));
}

/**
 * Schema 2 had the paths of sessions' folders in the clear. What the entry of the lease commits to takes their place; a
 * session without one is over.
 */
function sealFolders(db: Database): void {
  const commitments = new Map<string, string>();
  const rows = db.query<{ jws: string }, []>(
    "SELECT jws FROM entries WHERE type = 'lease.issued' AND EXISTS (SELECT 1 FROM leases WHERE fs_root IS NOT NULL)",
  );
  for (const { jws } of rows.iterate()) {
    const opened = openJws(jws);
    const entry = opened === null ? null : readPayload(opened.payload);
    if (entry === null || isFault(entry) || entry.type !== "lease.issued" || entry.fs_root === null) continue;
    commitments.set(entry.session_id, entry.fs_root.commitment);
  }
  const leases = db
    .query<{ session_id: string }, []>("SELECT session_id FROM leases WHERE fs_root IS NOT NULL")
    .all();
  const seal = db.query("UPDATE leases SET fs_root = ? WHERE session_id = ?");
  const end = db.query("DELETE FROM leases WHERE session_id = ?");
  for (const { session_id } of leases) {
    const commitment = commitments.get(session_id);
    if (commitment === undefined) end.run(session_id);
    else seal.run(commitment, session_id);
  }
}

/**
 * Brings the file from its schema, as `meta` tells it, to the one that is written now; in one transaction, so that a
 * crash leaves it as it was. False when there is no way from there: a newer file, or no schema at all.
 */
export function migrate(db: Database, stored: string, wanted: number): boolean {
  if (!/^[1-9][0-9]{0,5}$/.test(stored)) return false;
  const steps: ((db: Database) => void)[] = [];
  for (let schema = Number(stored); schema !== wanted; schema++) {
    const step = MIGRATIONS.get(schema);
    if (step === undefined) return false;
    steps.push(step);
  }
  db.transaction(() => {
    for (const step of steps) step(db);
    db.query("UPDATE meta SET value = ? WHERE name = 'schema'").run(String(wanted));
  }).immediate();
  // What was overwritten stands in the file until the write-ahead log is folded into it.
  db.run("PRAGMA wal_checkpoint(TRUNCATE)");
  return true;
}
