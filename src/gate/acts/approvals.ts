import { addVote, completeHold, findHold, type HoldRow, votesOf } from "../../approvals/state.ts";
import type { LedgerTransaction } from "../../ledger/writer.ts";
import { readEpoch, type UsedProof, useProof } from "./state.ts";

export interface DecisionInput {
  readonly approvalId: string;
  readonly decision: "approve" | "deny";
  readonly operator: { readonly id: string; readonly jkt: string };
  /** Principals that this operator acts as, whose requests it can't approve. */
  readonly ownPrincipals: readonly string[];
  readonly proof: UsedProof;
  /** The operator's signed statement, already checked against the hold. */
  readonly statement: string | null;
  readonly reason: string | null;
}

export type DecisionResult =
  | { readonly kind: "not_found" | "replayed" | "self_approval" | "revoked" | "expired" }
  | { readonly kind: "already"; readonly hold: HoldRow }
  | { readonly kind: "counted" | "complete"; readonly hold: HoldRow; readonly approvers: readonly string[] };

/** Counts one operator's decision. A denial ends the hold; an approval does when the quorum of distinct keys is met. */
export function decideApproval(tx: LedgerTransaction, input: DecisionInput): DecisionResult {
  if (!useProof(tx.db, input.proof)) return { kind: "replayed" };
  const hold = findHold(tx.db, input.approvalId);
  if (hold === null) return { kind: "not_found" };
  if (hold.state !== "pending") return { kind: "already", hold };
  if (tx.now >= hold.expires_ms) {
    endHold(tx, hold, "expire", "expired", "nobody decided in time");
    return { kind: "expired" };
  }
  if (hold.epoch !== readEpoch(tx.db)) return { kind: "revoked" };
  // The one who asks never decides in favour: neither with the key of the session, nor under its principal.
  const own = input.operator.jkt === hold.jkt || input.ownPrincipals.includes(hold.principal);
  if (input.decision === "approve" && own) return { kind: "self_approval" };
  const votes =
    input.decision === "approve"
      ? addVote(tx.db, hold.approval_id, input.operator.jkt, input.operator.id, tx.now)
      : votesOf(tx.db, hold.approval_id).length;
  const complete = input.decision === "deny" || votes >= hold.quorum;
  if (complete)
    completeHold(tx.db, hold.approval_id, tx.now, {
      state: input.decision === "deny" ? "denied" : "approved",
      reason: input.reason,
      decidedBy: input.operator.id,
    });
  tx.append("approval.decided", {
    ...about(hold),
    decision: input.decision,
    operator: {
      id: input.operator.id,
      jkt: input.operator.jkt,
      method: input.statement === null ? "operator_dpop" : "signed_statement",
    },
    statement: input.statement,
    reason: input.reason,
    votes,
    quorum: hold.quorum,
  });
  const after = findHold(tx.db, hold.approval_id) ?? hold;
  const approvers = votesOf(tx.db, hold.approval_id).map((vote) => vote.jkt);
  return { kind: complete ? "complete" : "counted", hold: after, approvers };
}

function about(hold: HoldRow) {
  return {
    trace_id: hold.trace_id,
    tenant: hold.tenant,
    principal: hold.principal,
    session_id: hold.session_id,
    action_id: hold.action_id,
    action_version: hold.action_version,
    action_digest: hold.action_digest,
    approval_id: hold.approval_id,
    call: { commitment: hold.call, bytes: hold.call_bytes },
  };
}

/** Ends a hold that nobody decided: by time, or by a fault that no retry can mend. */
export function endHold(
  tx: LedgerTransaction,
  hold: HoldRow,
  how: "expire" | "fail",
  code: string,
  reason: string,
): void {
  const state = how === "expire" ? "expired" : "failed";
  // An approved hold that never got its grant may still fail; one with a grant ends by its receipt.
  const moved =
    completeHold(tx.db, hold.approval_id, tx.now, { state, code, reason }) ||
    tx.db
      .query(
        `UPDATE holds SET state = ?, code = ?, reason = ?, completed_ms = ?
         WHERE approval_id = ? AND state = 'approved' AND grant_id IS NULL`,
      )
      .run(state, code, reason, tx.now, hold.approval_id).changes === 1;
  if (!moved) return;
  tx.append("approval.decided", {
    ...about(hold),
    decision: how,
    operator: null,
    statement: null,
    reason,
    votes: votesOf(tx.db, hold.approval_id).length,
    quorum: hold.quorum,
  });
}

export interface FailInput {
  readonly approvalId: string;
  readonly code: string;
  readonly reason: string;
}

/** An approved call that could not be granted: policy says no now, the action changed, the payload is gone. */
export function failApproval(tx: LedgerTransaction, input: FailInput): void {
  const hold = findHold(tx.db, input.approvalId);
  if (hold !== null) endHold(tx, hold, "fail", input.code, input.reason);
}
