import type { HoldRow } from "../approvals/state.ts";
import type { Operator } from "../identity/index.ts";
import type { Place } from "../sandbox/index.ts";
import { findLease, type UsedProof } from "./acts/state.ts";
import { authorize } from "./authorize.ts";
import type { Cause, PlannedCall } from "./call.ts";
import type { Gate } from "./gate.ts";
import { readHeldCall } from "./held-call.ts";
import { overloaded } from "./overloaded.ts";
import { perform } from "./perform.ts";
import { isRefusal, type Refusal, refuse } from "./refusal.ts";
import type { Outcome } from "./respond.ts";
import { checkStatement } from "./statement.ts";

/** An operator's decision on a held call, authenticated. */
export interface OperatorDecision {
  readonly approvalId: string;
  readonly decision: "approve" | "deny";
  readonly operator: Operator;
  readonly proof: UsedProof;
  /** Compact JWS over what the operator saw; null when the client sends none. */
  readonly statement: string | null;
  readonly reason: string | null;
}

export type DecisionOutcome =
  | { readonly kind: "executed"; readonly hold: HoldRow; readonly outcome: Outcome }
  | { readonly kind: "counted" | "denied" | "already"; readonly hold: HoldRow; readonly votes: number };

/** Takes one operator's decision; with the quorum met, the stored call runs through the same steps as any other. */
export async function decide(
  gate: Gate,
  made: OperatorDecision,
  found: HoldRow,
): Promise<DecisionOutcome | Refusal> {
  if (made.operator.tenant !== null && made.operator.tenant !== found.tenant) return notFound();
  const readied = made.decision === "approve" && found.state === "pending" ? ready(gate, found) : null;
  if (readied !== null && isRefusal(readied)) {
    gate.shed.count(
      `operator:${made.operator.id}`,
      readied.code === "overloaded" ? "overloaded" : "held_call_changed",
    );
    return readied;
  }
  using place = readied;
  if (made.statement !== null) {
    const fault = checkStatement(gate, made, found);
    if (fault !== null) return fault;
  }
  const result = await gate.ledger.act("decideApproval", {
    approvalId: made.approvalId,
    decision: made.decision,
    operator: { id: made.operator.id, jkt: made.operator.thumbprint },
    ownPrincipals: made.operator.principals,
    proof: made.proof,
    statement: made.statement,
    reason: made.reason,
  });
  switch (result.kind) {
    case "not_found":
      return notFound();
    case "expired":
      return refuse("action_not_found", 404, "nobody decided in time; the approval is over");
    case "revoked":
      return refuse("revoked", 409, "the held call was revoked");
    case "changed":
      return refuse("conflict", 409, "the stored call is not the one that was held", {
        hint: "run latchgate verify; the agent must ask again",
      });
    case "replayed":
      return refuse("replay_detected", 401, "the proof has been used before");
    case "self_approval":
      return refuse("self_approval", 403, "the one who asks can't approve", {
        members: { deny_reason: "the one who asks can't approve" },
      });
    case "already":
      return { kind: "already", hold: result.hold, votes: 0 };
    case "counted":
      return { kind: "counted", hold: result.hold, votes: result.approvers.length };
    case "complete":
      if (made.decision === "deny") return { kind: "denied", hold: result.hold, votes: 0 };
      return runApproved(gate, result.hold, result.approvers, place);
  }
}

/** The place of a held call, taken before the vote: an approval that finds no runner would be used up for nothing. */
function ready(gate: Gate, hold: HoldRow): Place | Refusal {
  const held = readHeldCall(gate, hold);
  if (isRefusal(held)) return held;
  return gate.sandbox.reserve(held.stored.componentDigest, held.entry.tenant) ?? overloaded();
}

function notFound(): Refusal {
  return refuse("action_not_found", 404, "no such approval");
}

async function runApproved(
  gate: Gate,
  hold: HoldRow,
  approvers: readonly string[],
  place: Place | null,
): Promise<DecisionOutcome | Refusal> {
  const outcome = await reenter(gate, hold, approvers, place);
  if (!isRefusal(outcome)) return { kind: "executed", hold, outcome };
  // Approved, but it may not run now: the hold ends, with its evidence, and is never tried again.
  await gate.ledger.act("failApproval", {
    approvalId: hold.approval_id,
    code: outcome.code,
    reason: outcome.message.slice(0, 500),
  });
  return outcome;
}

/** Re-enters at step 6 with the stored plan. */
async function reenter(
  gate: Gate,
  hold: HoldRow,
  approvers: readonly string[],
  place: Place | null,
): Promise<Outcome | Refusal> {
  if (gate.state.draining) return refuse("draining", 503, "the gate is stopping");
  const action = gate.registry.get(hold.action_id);
  if (action === undefined || action.digest !== hold.action_digest)
    return refuse("action_digest_mismatch", 403, "the action has changed since the call was held");
  const read = readHeldCall(gate, hold);
  if (isRefusal(read)) return read;
  const { entry: held, stored, payload } = read;
  const component = gate.components.get(action.provider.ref);
  if (
    component === undefined ||
    component !== stored.componentDigest ||
    stored.actionDigest !== action.digest
  )
    return refuse(
      "action_digest_mismatch",
      403,
      "the action's component has changed since the call was held",
    );
  const lease = findLease(gate.reader.db, hold.session_id);
  if (lease === null) return refuse("invalid_lease", 401, "the session is not known any more");
  const call: PlannedCall = {
    traceId: held.trace_id,
    boundary: held.boundary,
    caller: {
      tenant: held.tenant,
      principal: held.principal,
      sessionId: held.session_id,
      jkt: held.jkt,
      scopes: JSON.parse(lease.scopes) as string[], // written from a checked list when the lease was issued
      epoch: held.epoch,
    },
    action,
    generation: gate.registry.generation,
    component,
    params: stored.params,
    requestHash: stored.requestHash,
    plan: stored.plan,
    planHash: stored.planHash,
    limits: stored.limits,
    unresolved: stored.unresolved,
    policyParams: stored.policyParams,
    payload,
    commitment: held.call,
  };
  const cause: Cause = { kind: "approval", approvalId: hold.approval_id, approvers };
  const authorized = authorize(gate, call, cause);
  if (isRefusal(authorized)) return authorized;
  if (authorized.decision.outcome !== "allow")
    return refuse("policy_denied", 403, "policy holds the call in spite of its approval", {
      reasons: authorized.decision.reasons,
    });
  // A hold that was not pending when its place would have been taken is not completed either.
  if (place === null) return overloaded();
  return perform(gate, authorized, place);
}
