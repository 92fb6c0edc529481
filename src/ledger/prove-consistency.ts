import type { Database } from "bun:sqlite";
import { parseCheckpoint } from "./checkpoint.ts";
import { LedgerError } from "./errors.ts";
import { consistencyProof } from "./proof/consistency.ts";
import { formatConsistency, readConsistency } from "./proof/consistency-file.ts";
import { latestNote, noteOf } from "./prove.ts";
import { TreeStore } from "./tree-store.ts";

/** A stored checkpoint by its size, or a signed note that somebody kept. */
export type WantedCheckpoint = { readonly size: number } | { readonly note: string };

/**
 * The proof that the log of one checkpoint is the beginning of that of another; `newer` null for the newest that is stored.
 * It is verified before it leaves. Throws `checkpoint_unknown`, `not_consistent` when a note that somebody kept is not of
 * this log's history, and `ledger_damaged`.
 */
export function proveConsistency(
  db: Database,
  older: WantedCheckpoint,
  newer: WantedCheckpoint | null,
): string {
  return db.transaction(() => {
    const notes = { older: noteFor(db, older), newer: newer === null ? latestNote(db) : noteFor(db, newer) };
    if (notes.newer === null) throw unknown("no checkpoint has been signed yet");
    const [from, to] = [sizeOf(notes.older), sizeOf(notes.newer)];
    if (from > to) throw unknown(`the checkpoint of ${from} entries is not older than that of ${to}`);
    const last = db.query<{ n: number }, []>("SELECT count(*) AS n FROM entries").get()?.n ?? 0;
    if (to > last) throw unknown(`the log has ${last} entries, the checkpoint covers ${to}`);
    const path = consistencyProof(from, to, new TreeStore(db).read);
    const text = formatConsistency({ older: notes.older, newer: notes.newer, path });
    if (readConsistency(text) === null)
      throw new LedgerError("not_consistent", `the tree does not lead from ${from} entries to ${to}`, {
        hint: "one of the checkpoints is of another history: run latchgate verify with --anchor",
      });
    return text;
  })();
}

function unknown(what: string): LedgerError {
  return new LedgerError("checkpoint_unknown", what);
}

function noteFor(db: Database, wanted: WantedCheckpoint): string {
  if ("note" in wanted) return wanted.note;
  const note = noteOf(db, wanted.size);
  if (note === null)
    throw new LedgerError("checkpoint_unknown", `there is no checkpoint of ${wanted.size} entries`, {
      hint: "name one that is stored, or a file with one that you kept",
    });
  return note;
}

function sizeOf(note: string): number {
  const size = parseCheckpoint(note)?.checkpoint.size;
  if (size === undefined) throw unknown("not a signed checkpoint");
  return size;
}
