import { claimHold, findHold } from "../../approvals/state.ts";
import { DAY_MS, ensureBudget, principalDay, reserveCall } from "../../budgets/state.ts";
import type { EntryBody } from "../../ledger/entry/types.ts";
import type { LedgerTransaction } from "../../ledger/writer.ts";
import { type CallerConflict, checkCaller } from "./recheck.ts";
import { type IdempotencyKey, takeIdempotencyKey, type UsedProof, useProof } from "./state.ts";

export interface GrantInput {
  /** Everything that the dispatch may do; the budget is filled in by the transaction. */
  readonly body: Omit<EntryBody<"call.granted">, "budget">;
  /** The agent's proof on the automatic path; the operator's has been used by the decision on the approved one. */
  readonly proof: UsedProof | null;
  readonly idempotency: IdempotencyKey | null;
}

export type GrantResult =
  | { readonly kind: "granted"; readonly seq: number; readonly remaining: number | null }
  | {
      readonly kind:
        | CallerConflict
        | "replayed"
        | "idempotency_conflict"
        | "approval_used"
        | "approval_changed"
        | "budget_exhausted";
    };

/**
 * The grant transaction: state checked again, cause unique, budget reserved, intent signed. Both paths come through
 * here. One cause (proof, idempotency key, approval) can never be granted twice, by retry, restart or crash.
 */
export function grantCall(tx: LedgerTransaction, input: GrantInput): GrantResult {
  const { body } = input;
  const approvalId = body.cause.approval_id;
  // A call that waited for a human may outlive its lease, but not a revocation.
  const lease = checkCaller(tx, body, approvalId === null ? tx.now : null);
  if (typeof lease === "string") return { kind: lease };
  if (approvalId === null) {
    if (input.proof === null || !useProof(tx.db, input.proof)) return { kind: "replayed" };
  } else {
    const hold = findHold(tx.db, approvalId);
    if (hold === null || hold.call !== body.call.commitment || hold.action_digest !== body.action_digest)
      return { kind: "approval_changed" };
    if (hold.epoch !== body.epoch || hold.expires_ms <= tx.now) return { kind: "approval_changed" };
    if (!claimHold(tx.db, approvalId, body.grant_id)) return { kind: "approval_used" };
  }
  if (
    approvalId === null &&
    input.idempotency !== null &&
    !takeIdempotencyKey(tx.db, body, input.idempotency, { grantId: body.grant_id }, tx.now)
  )
    return { kind: "idempotency_conflict" };
  const today = principalDay(body.tenant, body.principal, tx.now);
  ensureBudget(tx.db, today, lease.principal_max_calls, tx.now + 2 * DAY_MS);
  const session = { scope: "session", name: body.session_id } as const;
  const reserved = reserveCall(tx.db, body.grant_id, [session, today]);
  if (reserved === "exhausted") {
    release(tx, input);
    return { kind: "budget_exhausted" };
  }
  const { seq } = tx.append("call.granted", {
    ...body,
    budget: { reserved_calls: 1, remaining_calls: reserved.remaining },
  });
  tx.db
    .query("INSERT INTO grants (grant_id, seq, approval_id, session_id, principal) VALUES (?, ?, ?, ?, ?)")
    .run(body.grant_id, seq, approvalId, body.session_id, body.principal);
  return { kind: "granted", seq, remaining: reserved.remaining };
}

/** Without a grant the idempotency key and the approval's claim are free again; the proof stays used. */
function release(tx: LedgerTransaction, { body, idempotency }: GrantInput): void {
  if (idempotency !== null) tx.db.query("DELETE FROM idempotency WHERE grant_id = ?").run(body.grant_id);
  tx.db.query("UPDATE holds SET grant_id = NULL WHERE grant_id = ?").run(body.grant_id);
}
