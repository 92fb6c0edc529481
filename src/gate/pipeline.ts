import { canonicalJson } from "../core/canonical-json.ts";
import { planToJson } from "../core/plan.ts";
import { admit } from "./admit.ts";
import { authenticate } from "./authenticate.ts";
import { authorize, policyInput } from "./authorize.ts";
import type { Authorized, Cause, ExecuteRequest, Planned } from "./call.ts";
import { type Progress, recordRefusal } from "./evidence.ts";
import type { Gate } from "./gate.ts";
import { hold } from "./hold.ts";
import { replayed } from "./idempotency.ts";
import { overloaded } from "./overloaded.ts";
import { perform } from "./perform.ts";
import { plan } from "./plan.ts";
import { isRefusal, type Refusal } from "./refusal.ts";
import { resolve } from "./resolve.ts";
import { type Answer, answerRefusal, respond } from "./respond.ts";
import { validate } from "./validate.ts";

/** One call from request to answer. Each step adds one thing known, or refuses; a refusal leaves its evidence first. */
export async function execute(gate: Gate, request: ExecuteRequest): Promise<Answer> {
  const progress: Progress = {};
  const result = await run(gate, request, progress);
  if (!isRefusal(result)) return result;
  await recordRefusal(gate, request.peerUid, progress, result);
  return answerRefusal(result, progress.admitted?.traceId ?? null);
}

async function run(gate: Gate, request: ExecuteRequest, progress: Progress): Promise<Answer | Refusal> {
  const admitted = admit(gate, request);
  if (isRefusal(admitted)) return admitted;
  progress.admitted = admitted;

  const authenticated = authenticate(gate, admitted);
  if (isRefusal(authenticated)) return authenticated;
  progress.authenticated = authenticated;

  const resolved = resolve(gate, authenticated);
  if (isRefusal(resolved)) return resolved;
  progress.resolved = resolved;

  const validated = await validate(gate, resolved);
  if (isRefusal(validated)) return validated;
  progress.validated = validated;
  const earlier = replayed(gate, validated);
  if (earlier !== null) return earlier;

  const planned = await plan(gate, validated);
  if (isRefusal(planned)) return planned;
  progress.planned = planned;
  const cause: Cause = { kind: "proof", proof: planned.proof, idempotency: planned.idempotency };
  if (planned.dryRun) return dryRun(gate, planned, cause);

  const authorized = authorize(gate, planned, cause);
  if (isRefusal(authorized)) return authorized;

  if (authorized.decision.outcome === "hold") {
    const held = await hold(gate, authorized);
    return isRefusal(held) ? conflict(gate, planned, progress, held) : pending(authorized, held);
  }
  using place = gate.sandbox.reserve(planned.component, planned.caller.tenant);
  if (place === null) return overloaded();
  const outcome = await perform(gate, authorized, place);
  return isRefusal(outcome) ? conflict(gate, planned, progress, outcome) : respond(outcome);
}

/** A transaction that refused has already stored the payload; a racing twin's result may be there to give. */
function conflict(gate: Gate, planned: Planned, progress: Progress, refusal: Refusal): Answer | Refusal {
  progress.payloadStored = true;
  if (refusal.code !== "idempotency_in_flight" || progress.validated === undefined) return refusal;
  return replayed(gate, { ...progress.validated, idempotency: planned.idempotency }) ?? refusal;
}

function pending({ call, decision }: Authorized, held: { approvalId: string; expires: string }): Answer {
  return {
    status: 202,
    body: {
      decision: "pending_approval",
      approval_id: held.approvalId,
      request_hash: call.requestHash,
      trace_id: call.traceId,
      plan_hash: call.planHash,
      expires_at: held.expires,
      reasons: decision.reasons.map(({ code, text }) => ({ code, text })),
    },
    headers: {},
  };
}

/** The decision, its reasons and the plan; no effect and no entry. */
function dryRun(gate: Gate, call: Planned, cause: Cause): Answer {
  const decision = gate.policy.evaluate(policyInput(gate, call, cause));
  const plan = planToJson(call.plan);
  return {
    status: 200,
    body: {
      decision: { allow: "would_execute", hold: "would_hold", deny: "would_deny" }[decision.outcome],
      dry_run: true,
      trace_id: call.traceId,
      action_id: call.action.id,
      request_hash: call.requestHash,
      plan: JSON.parse(canonicalJson(plan)),
      reasons: decision.reasons.map(({ code, text }) => ({ code, text })),
      policy_version: decision.policy_version,
    },
    headers: {},
  };
}
