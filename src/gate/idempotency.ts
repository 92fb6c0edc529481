import { findHold } from "../approvals/state.ts";
import { findIdempotency } from "./acts/state.ts";
import type { Validated } from "./call.ts";
import { conflictRefusal } from "./conflict.ts";
import type { Gate } from "./gate.ts";
import { readOutcome } from "./outcome.ts";
import { isRefusal, type Refusal, refuse } from "./refusal.ts";
import { type Answer, respond } from "./respond.ts";

/**
 * What a repeated `Idempotency-Key` gets: the same terminal receipt for the same request, never a second dispatch.
 * Null when the key is new, or the call has none.
 */
export function replayed(gate: Gate, call: Validated): Answer | Refusal | null {
  if (call.idempotency === null) return null;
  const { tenant, principal } = call.caller;
  const row = findIdempotency(gate.reader.db, tenant, principal, call.idempotency.key);
  if (row === null) return null;
  if (row.request !== call.idempotency.request)
    return refuse("idempotency_key_reused", 409, "this idempotency key was used for another request", {
      hint: "use a fresh key for each distinct call",
    });
  const hold = row.approval_id === null ? null : findHold(gate.reader.db, row.approval_id);
  const grantId = row.grant_id ?? hold?.grant_id ?? null;
  const outcome = grantId === null ? null : readOutcome(gate, { grantId });
  if (outcome !== null) return isRefusal(outcome) ? outcome : respond(outcome, { replayed: true });
  if (grantId !== null || hold === null) return conflictRefusal("idempotency_conflict");
  if (hold.state === "pending")
    return {
      status: 202,
      body: {
        decision: "pending_approval",
        approval_id: hold.approval_id,
        request_hash: call.requestHash,
        trace_id: hold.trace_id,
        replayed: true,
      },
      headers: {},
    };
  if (hold.state === "approved") return conflictRefusal("idempotency_conflict");
  return refuse(`approval_${hold.state}`, 403, "the call was held and did not get approval", {
    members: { approval_id: hold.approval_id },
    hint: "use a fresh key to ask again",
  });
}
