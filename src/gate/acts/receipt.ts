import { finishHold } from "../../approvals/state.ts";
import { settleCall } from "../../budgets/state.ts";
import type { EntryBody } from "../../ledger/entry/types.ts";
import type { Appended, LedgerTransaction } from "../../ledger/writer.ts";

export interface ReceiptInput {
  /** The terminal receipt; what it does to the budget is filled in by the transaction. */
  readonly body: Omit<EntryBody<"call.receipt">, "budget">;
  readonly approvalId: string | null;
}

/** The one terminal receipt of a grant, with the settlement of its budget. `closed` when the grant has one. */
export function recordReceipt(tx: LedgerTransaction, input: ReceiptInput): Appended | "closed" {
  const { body } = input;
  const open = tx.db
    .query("UPDATE grants SET receipt_id = ? WHERE grant_id = ? AND receipt_id IS NULL")
    .run(body.receipt_id, body.grant_id);
  if (open.changes !== 1) return "closed";
  const outcome = body.status === "failed" ? "released" : "committed";
  const calls = settleCall(tx.db, body.grant_id, outcome);
  const appended = tx.append("call.receipt", {
    ...body,
    budget:
      outcome === "committed"
        ? { committed_calls: calls, released_calls: 0 }
        : { committed_calls: 0, released_calls: calls },
  });
  tx.db.query("UPDATE grants SET receipt_seq = ? WHERE grant_id = ?").run(appended.seq, body.grant_id);
  if (input.approvalId !== null)
    finishHold(tx.db, input.approvalId, {
      receiptId: body.receipt_id,
      failed: body.status !== "executed",
      code: body.status === "executed" ? null : body.status,
    });
  return appended;
}
