import { callsRemaining, principalDay, tightest } from "../budgets/state.ts";
import { rfc3339 } from "../core/clock.ts";
import { secretsOf } from "../core/plan.ts";
import type { PolicyDecision, PolicyInput } from "../policy/contract.ts";
import type { Authorized, Cause, PlannedCall } from "./call.ts";
import type { Gate } from "./gate.ts";
import { planFacts, readBackFacts } from "./plan-facts.ts";
import { type Refusal, refuse, sanitise } from "./refusal.ts";

/** Step 6: may it? Policy judges the plan; an approval is one of its inputs. */
export function authorize(gate: Gate, call: PlannedCall, cause: Cause): Authorized | Refusal {
  const decision = gate.policy.evaluate(policyInput(gate, call, cause));
  if (decision.outcome !== "deny") return { call, cause, decision };
  return refusePolicy(call, decision);
}

export function refusePolicy(call: PlannedCall, decision: PolicyDecision): Refusal {
  const { principal } = call.caller;
  const text = sanitise(decision.reasons.map((reason) => reason.text).join("; "), 500);
  if (decision.reasons.some((reason) => reason.code === "engine_unavailable"))
    return refuse("policy_engine_unavailable", 503, "policy could not be evaluated", {
      reasons: decision.reasons,
    });
  const remediation = decision.reasons.some((reason) => reason.code === "acl_denied")
    ? { remediation: `Run: latchgate policy grant ${principal} ${call.action.id}` }
    : {};
  return refuse("policy_denied", 403, text, {
    reasons: decision.reasons,
    members: { deny_reason: text, principal, action_id: call.action.id, ...remediation },
  });
}

export function policyInput(gate: Gate, call: PlannedCall, cause: Cause): PolicyInput {
  const { caller, action, plan } = call;
  const now = gate.clock.now();
  return {
    principal: caller.principal,
    tenant: caller.tenant,
    session_id: caller.sessionId,
    scopes: caller.scopes,
    required_scopes: action.requiredScopes,
    action: {
      id: action.id,
      version: action.version,
      digest: action.digest,
      risk: action.risk.level,
      effects: action.effects,
      trust: "digest_ok",
      envelope: plan.kind === "envelope",
    },
    plan: planFacts(plan),
    read_back: readBackFacts(plan),
    secrets: secretsOf(plan),
    params: call.policyParams,
    budget: { calls_remaining: budgetBefore(gate, call, now) },
    unresolved: call.unresolved,
    approval: cause.kind === "approval" ? { id: cause.approvalId, approvers: cause.approvers } : null,
    time: rfc3339(now),
  };
}

/** Advisory: the grant transaction reserves for real. A day without a budget row yet has its whole ceiling left. */
function budgetBefore(gate: Gate, { caller }: PlannedCall, now: number): number | null {
  const { db } = gate.reader;
  const session = callsRemaining(db, { scope: "session", name: caller.sessionId });
  const today = principalDay(caller.tenant, caller.principal, now);
  const opened = db.query("SELECT 1 FROM budgets WHERE scope = ? AND name = ?").get(today.scope, today.name);
  return opened === null ? session : tightest([session, callsRemaining(db, today)]);
}
