import { insertHold } from "../../approvals/state.ts";
import type { EntryBody } from "../../ledger/entry/types.ts";
import type { LedgerTransaction } from "../../ledger/writer.ts";
import { type CallerConflict, checkCaller } from "./recheck.ts";
import { type IdempotencyKey, takeIdempotencyKey, type UsedProof, useProof } from "./state.ts";

export interface HoldInput {
  readonly body: EntryBody<"call.held">;
  readonly proof: UsedProof;
  readonly idempotency: IdempotencyKey | null;
  readonly expiresMs: number;
  /** Pending holds that one principal may have at a time. */
  readonly maxPending: number;
}

export type HoldResult =
  | { readonly kind: "held"; readonly seq: number }
  | { readonly kind: CallerConflict | "replayed" | "idempotency_conflict" | "too_many_pending" };

/** Parks a call for a human: the exact call is stored, the signed entry commits to it. */
export function holdCall(tx: LedgerTransaction, input: HoldInput): HoldResult {
  const { body } = input;
  const lease = checkCaller(tx, body, tx.now);
  if (typeof lease === "string") return { kind: lease };
  const pending = tx.db
    .query<{ n: number }, [string, string]>(
      "SELECT count(*) AS n FROM holds WHERE state = 'pending' AND tenant = ? AND principal = ?",
    )
    .get(body.tenant, body.principal);
  if ((pending?.n ?? 0) >= input.maxPending) return { kind: "too_many_pending" };
  if (!useProof(tx.db, input.proof)) return { kind: "replayed" };
  if (
    input.idempotency !== null &&
    !takeIdempotencyKey(tx.db, body, input.idempotency, { approvalId: body.approval_id }, tx.now)
  )
    return { kind: "idempotency_conflict" };
  const { seq } = tx.append("call.held", body);
  insertHold(tx.db, {
    approval_id: body.approval_id,
    seq,
    trace_id: body.trace_id,
    tenant: body.tenant,
    principal: body.principal,
    session_id: body.session_id,
    jkt: body.jkt,
    action_id: body.action_id,
    action_version: body.action_version,
    action_digest: body.action_digest,
    risk: body.risk,
    call: body.call.commitment,
    call_bytes: body.call.bytes,
    policy_version: body.policy_version,
    quorum: body.quorum,
    epoch: body.epoch,
    created_ms: tx.now,
    expires_ms: input.expiresMs,
  });
  return { kind: "held", seq };
}
