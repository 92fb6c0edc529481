import type { Database } from "bun:sqlite";
import { parseCheckpoint } from "./checkpoint.ts";
import { isFault, readPayload } from "./entry/entry.ts";
import { openJws } from "./entry/jws.ts";
import { LedgerError } from "./errors.ts";
import { inclusionProof } from "./proof/inclusion.ts";
import { formatProof, readProof } from "./proof/tlog-proof.ts";
import { TreeStore } from "./tree-store.ts";

interface CheckpointRow {
  readonly size: number;
  readonly note: string;
}

/** The newest checkpoint with the cosignatures that were verified for it, as a signed note; null before the first. */
export function latestNote(db: Database): string | null {
  const row = db
    .query<CheckpointRow, []>("SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1")
    .get();
  return row === null ? null : withCosignatures(db, row);
}

/** As {@link latestNote}, of the checkpoint that covers so many entries; null when none is stored. */
export function noteOf(db: Database, size: number): string | null {
  const row = db
    .query<CheckpointRow, [number]>("SELECT size, note FROM checkpoints WHERE size = ?")
    .get(size);
  return row === null ? null : withCosignatures(db, row);
}

/** Signature lines go behind those of the log (C2SP signed-note). */
function withCosignatures(db: Database, { size, note }: CheckpointRow): string {
  const lines = db
    .query<{ line: string }, [number]>("SELECT line FROM cosignatures WHERE size = ? ORDER BY rowid")
    .all(size);
  return note + lines.map(({ line }) => `${line}\n`).join("");
}

/** The checkpoint that says most about an entry: the newest with cosignatures that covers it, else the newest. */
function covering(db: Database, seq: number): CheckpointRow | null {
  return (
    db
      .query<CheckpointRow, [number]>(
        `SELECT size, note FROM checkpoints WHERE size > ?
         ORDER BY (SELECT count(*) FROM cosignatures c WHERE c.size = checkpoints.size) > 0 DESC, size DESC LIMIT 1`,
      )
      .get(seq) ?? null
  );
}

/**
 * The C2SP tlog-proof of the entry at `seq`; null while no checkpoint covers it. It is verified before it leaves:
 * what the tables hold is not believed. Throws `ledger_damaged`.
 */
export function proveEntry(db: Database, seq: number): string | null {
  return db.transaction(() => {
    const entry = db.query<{ jws: string }, [number]>("SELECT jws FROM entries WHERE seq = ?").get(seq);
    const row = covering(db, seq);
    if (entry === null || row === null) return null;
    const size = parseCheckpoint(row.note)?.checkpoint.size;
    if (size !== row.size) throw damaged("a stored checkpoint is of another size than its row says");
    const path = inclusionProof(seq, size, new TreeStore(db).read);
    const text = formatProof({ jws: entry.jws, index: seq, path, note: withCosignatures(db, row) });
    if (readProof(text) === null) throw damaged(`the tree does not lead from entry ${seq} to its checkpoint`);
    return text;
  })();
}

/** Where the receipt of this id stands in the log; null when there is none. The entry itself is read and compared. */
export function findReceipt(db: Database, receiptId: string): number | null {
  const row = db
    .query<{ seq: number; jws: string }, [string]>(
      "SELECT e.seq AS seq, e.jws AS jws FROM grants g JOIN entries e ON e.seq = g.receipt_seq WHERE g.receipt_id = ?",
    )
    .get(receiptId);
  if (row === null) return null;
  const opened = openJws(row.jws);
  const payload = opened === null ? null : readPayload(opened.payload);
  const same =
    payload !== null &&
    !isFault(payload) &&
    payload.type === "call.receipt" &&
    payload.receipt_id === receiptId &&
    payload.seq === row.seq;
  if (!same) throw damaged("the table of grants names an entry that is not this receipt");
  return row.seq;
}

function damaged(what: string): LedgerError {
  return new LedgerError("ledger_damaged", what, { hint: "run latchgate verify on a copy" });
}
