import type { HoldRow } from "../../approvals/state.ts";
import type { LedgerTransaction } from "../../ledger/writer.ts";
import type { HeldEntry } from "../same-hold.ts";

/** The signed entry that a row of the table of holds leads to; null when that is not the one of this approval. */
export function signedHold(tx: LedgerTransaction, hold: HoldRow): HeldEntry | null {
  const entry = tx.trusted(hold.seq);
  return entry?.type === "call.held" && entry.approval_id === hold.approval_id ? entry : null;
}

export interface DecidedSoFar {
  /** Distinct keys that have approved: a planted row of the table of votes counts for nothing. */
  readonly approvers: readonly string[];
  /** Whether the hold is over: it was granted, or a decision other than an approval was taken. */
  readonly over: boolean;
}

/** What has become of a held call, by the signed entries alone. */
export function decidedSoFar(tx: LedgerTransaction, held: HeldEntry): DecidedSoFar {
  const rows = tx.db
    .query<{ seq: number }, [string, number]>(
      `SELECT seq FROM entries WHERE trace_id = ? AND type IN ('approval.decided', 'call.granted') AND seq > ?
       ORDER BY seq`,
    )
    .all(held.trace_id, held.seq);
  const approvers = new Set<string>();
  let over = false;
  for (const { seq } of rows) {
    const entry = tx.trusted(seq);
    if (entry?.type === "call.granted" && entry.cause.approval_id === held.approval_id) over = true;
    if (entry?.type !== "approval.decided" || entry.approval_id !== held.approval_id) continue;
    if (entry.decision !== "approve") over = true;
    else if (entry.operator !== null) approvers.add(entry.operator.jkt);
  }
  return { approvers: [...approvers], over };
}
