import type { Database } from "bun:sqlite";
import type { OpeningKeys } from "../keys/history.ts";
import { LedgerError } from "./errors.ts";
import { loadHistory } from "./load.ts";
import { CompactTree } from "./tree.ts";
import { EXPORT_FORMAT, type ExportHead } from "./verify/export-file.ts";

/** Entries of a log, both ends included; `to` null for the last one. */
export interface ExportRange {
  readonly from: number;
  readonly to: number | null;
}

/**
 * The lines of an export, see `ExportHead`. It verifies nothing: who reads it does. Throws `range_empty`, and
 * `ledger_damaged` where the log can't be read at all.
 */
export function* exportLines(db: Database, range: ExportRange): Generator<string> {
  const last = db.query<{ seq: number | null }, []>("SELECT max(seq) AS seq FROM entries").get()?.seq ?? -1;
  const { from } = range;
  const to = range.to ?? last;
  if (from > to || to > last)
    throw new LedgerError(
      "range_empty",
      `the log has entries 0 to ${last}; ${from} to ${to} are not all there`,
    );
  const { log, keys } = loadHistory(db);
  const before = treeBefore(db, from);
  const inForce = keys.all().filter((key) => key.validFromSeq <= from && (key.validToSeq ?? to) >= from);
  const head: ExportHead = {
    format: EXPORT_FORMAT,
    v: 1,
    log,
    from,
    to,
    prev: before.prev,
    edge: before.tree.edge.map((hash) => hash.toString("hex")),
    // One of each purpose is in force everywhere in a log.
    keys:
      from === 0
        ? null
        : (Object.fromEntries(inForce.map(({ purpose, jwk }) => [purpose, jwk])) as unknown as OpeningKeys),
    checkpoint:
      db
        .query<{ note: string }, [number, number]>(
          "SELECT note FROM checkpoints WHERE size > ? AND size <= ? ORDER BY size DESC LIMIT 1",
        )
        .get(from, to + 1)?.note ?? null,
  };
  yield JSON.stringify(head);
  const rows = db.query<{ seq: number; jws: string }, [number, number]>(
    "SELECT seq, jws FROM entries WHERE seq BETWEEN ? AND ? ORDER BY seq",
  );
  for (const { seq, jws } of rows.iterate(from, to)) yield JSON.stringify({ seq, jws });
}

function treeBefore(
  db: Database,
  size: number,
): { readonly tree: CompactTree; readonly prev: string | null } {
  const tree = new CompactTree();
  let prev: string | null = null;
  const rows = db.query<{ hash: Uint8Array }, [number]>(
    "SELECT hash FROM entries WHERE seq < ? ORDER BY seq",
  );
  for (const { hash } of rows.iterate(size)) {
    tree.push(hash);
    if (tree.size === size) prev = Buffer.from(hash).toString("hex");
  }
  return { tree, prev };
}
