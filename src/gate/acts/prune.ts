import { isFault, readPayload } from "../../ledger/entry/entry.ts";
import { openJws } from "../../ledger/entry/jws.ts";
import type { PrunedPayloads, WantedPruning } from "../../ledger/store/pruner.ts";
import type { LedgerTransaction } from "../../ledger/writer.ts";

export type PruneInput = Omit<WantedPruning, "keep">;

/** Destroys stored payloads by a signed act, but for those of calls that wait for a human or run, and of sessions. */
export function prunePayloads(tx: LedgerTransaction, input: PruneInput): PrunedPayloads | null {
  return tx.prune({ ...input, beforeMs: Math.min(input.beforeMs, tx.now), keep: inUse(tx) });
}

function inUse(tx: LedgerTransaction): ReadonlySet<string> {
  const holds = tx.db
    .query<{ call: string }, []>(
      `SELECT call FROM holds WHERE state = 'pending' OR (state = 'approved' AND receipt_id IS NULL)`,
    )
    .all()
    .map(({ call }) => call);
  const grants = tx.db
    .query<{ jws: string }, []>("SELECT jws FROM grants JOIN entries USING (seq) WHERE receipt_id IS NULL")
    .all()
    .map(({ jws }) => {
      const opened = openJws(jws);
      const entry = opened === null ? null : readPayload(opened.payload);
      if (entry === null || isFault(entry) || entry.type !== "call.granted")
        throw new Error("an open grant cannot be read");
      return entry.call.commitment;
    });
  const roots = tx.db
    .query<{ fs_root: string }, [number]>(
      "SELECT fs_root FROM leases WHERE fs_root IS NOT NULL AND expires_ms > ?",
    )
    .all(tx.now)
    .map(({ fs_root }) => fs_root);
  return new Set([...holds, ...grants, ...roots]);
}
