import type { Database } from "bun:sqlite";
import { leafHash } from "../entry/jws.ts";
import { CompactTree } from "../tree.ts";
import { TreeStore } from "../tree-store.ts";

/** What brings a ledger file of the schema that names it to the next one. Each runs once, in one transaction. */
const MIGRATIONS: ReadonlyMap<number, (db: Database) => void> = new Map([[1, fillTree]]);

/** Schema 1 had no nodes: they are computed from the entries, of which nothing but the signed text is believed. */
function fillTree(db: Database): void {
  db.run("DELETE FROM nodes");
  const store = new TreeStore(db);
  const tree = new CompactTree();
  const rows = db.query<{ jws: string }, []>("SELECT jws FROM entries ORDER BY seq");
  for (const { jws } of rows.iterate()) store.write(tree.push(leafHash(jws)));
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
  return true;
}
