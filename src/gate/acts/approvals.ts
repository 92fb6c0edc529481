import { addVote, completeHold, findHold, type HoldRow } from "../../approvals/state.ts";
import type { LedgerTransaction } from "../../ledger/writer.ts";
import { type HeldEntry, isSameHold } from "../same-hold.ts";
import { decidedSoFar, signedHold } from "./signed-hold.ts";
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
  | { readonly kind: "not_found" | "replayed" | "self_approval" | "revoked" | "expired" | "changed" }
  | { readonly kind: "already"; readonly hold: HoldRow }
  | { readonly kind: "counted" | "complete"; readonly hold: HoldRow; readonly approvers: readonly string[] };

/**
 * Counts one operator's decision. A denial ends the hold; an approval does when the quorum of distinct keys is met. What is
 * counted and written is what signed entries say; a hold whose row differs from its entry ends here.
 */
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
  const held = signedHold(tx, hold);
  if (held === null || !isSameHold(held, hold)) {
    endHold(tx, hold, "fail", CHANGED, "the hold was decided");
    return { kind: "changed" };
  }
  // The one who asks never decides in favour: neither with the key of the session, nor under its principal.
  const own = input.operator.jkt === hold.jkt || input.ownPrincipals.includes(hold.principal);
  if (input.decision === "approve" && own) return { kind: "self_approval" };
  const sofar = decidedSoFar(tx, held);
  if (sofar.over) return { kind: "already", hold };
  const approvers = new Set(sofar.approvers);
  if (input.decision === "approve") {
    addVote(tx.db, hold.approval_id, input.operator.jkt, input.operator.id, tx.now);
    approvers.add(input.operator.jkt);
  }
  const complete = input.decision === "deny" || approvers.size >= hold.quorum;
  if (complete)
    completeHold(tx.db, hold.approval_id, tx.now, {
      state: input.decision === "deny" ? "denied" : "approved",
      reason: input.reason,
      decidedBy: input.operator.id,
    });
  tx.append("approval.decided", {
    ...about(held),
    decision: input.decision,
    operator: {
      id: input.operator.id,
      jkt: input.operator.jkt,
      method: input.statement === null ? "operator_dpop" : "signed_statement",
    },
    statement: input.statement,
    reason: input.reason,
    votes: approvers.size,
    quorum: hold.quorum,
  });
  const after = findHold(tx.db, hold.approval_id) ?? hold;
  return { kind: complete ? "complete" : "counted", hold: after, approvers: [...approvers] };
}

function about(held: HeldEntry) {
  return {
    trace_id: held.trace_id,
    tenant: held.tenant,
    principal: held.principal,
    session_id: held.session_id,
    action_id: held.action_id,
    action_version: held.action_version,
    action_digest: held.action_digest,
    approval_id: held.approval_id,
    call: held.call,
  };
}

/** Code of a hold whose row is not what its signed entry says. */
const CHANGED = "held_call_changed";

/**
 * Ends a hold that nobody decided: by time, or by a fault that no retry can mend. The log says what its signed entry says; a
 * row that differs from it ends as changed, and where no signed entry can be found there is nothing to say in the log.
 */
export function endHold(
  tx: LedgerTransaction,
  hold: HoldRow,
  how: "expire" | "fail",
  code: string,
  reason: string,
): void {
  const held = signedHold(tx, hold);
  if (code !== CHANGED && (held === null || !isSameHold(held, hold))) {
    endHold(tx, hold, "fail", CHANGED, reason);
    return;
  }
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
  const sofar = held === null ? null : decidedSoFar(tx, held);
  // A row that was set back must not make the gate say twice how a call ended: that would condemn the log.
  if (!moved || held === null || sofar === null || sofar.over) return;
  tx.append("approval.decided", {
    ...about(held),
    decision: how,
    operator: null,
    statement: null,
    reason: code === CHANGED ? "the stored hold is not the one that was signed" : reason,
    votes: sofar.approvers.length,
    quorum: held.quorum,
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
