import type { GrantResult } from "./acts/grant.ts";
import type { HoldResult } from "./acts/hold.ts";
import { type Refusal, refuse } from "./refusal.ts";

export type Conflict = Exclude<GrantResult["kind"], "granted"> | Exclude<HoldResult["kind"], "held">;

/** What the transaction found different from what was decided. */
export function conflictRefusal(kind: Conflict): Refusal {
  switch (kind) {
    case "revoked":
      return refuse("revoked", 401, "everything before this moment was revoked", { hint: "get a new lease" });
    case "lease_gone":
      return refuse("lease_expired", 401, "the lease is over", { hint: "get a new lease" });
    case "policy_changed":
      return refuse("conflict", 409, "policy changed while the call was decided", { hint: "try again" });
    case "replayed":
      return refuse("replay_detected", 401, "the proof has been used before");
    case "idempotency_conflict":
      return refuse("idempotency_in_flight", 409, "a call under this idempotency key is under way", {
        hint: "ask again with the same key and body for its result",
        retryAfterSeconds: 1,
      });
    case "approval_used":
      return refuse("grant_consumed", 409, "the approval has been used");
    case "approval_changed":
      return refuse("conflict", 409, "the approval is not for this call, or is over");
    case "budget_exhausted":
      return refuse("budget_exhausted", 403, "no calls are left in the budget");
    case "too_many_pending":
      return refuse("too_many_pending", 429, "too many calls of this principal wait for approval", {
        retryAfterSeconds: 30,
      });
  }
}
