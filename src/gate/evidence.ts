import type { Admitted, Authenticated, PlannedCall, Resolved, Validated } from "./call.ts";
import type { Gate } from "./gate.ts";
import { type Refusal, sanitise } from "./refusal.ts";

/** How far a call came before it was refused. */
export interface Progress {
  admitted?: Admitted;
  authenticated?: Authenticated;
  resolved?: Resolved;
  validated?: Validated;
  planned?: PlannedCall;
  /** Whether the grant or hold transaction has been asked for: the call's payload is stored before it decides. */
  payloadStored?: boolean;
}

/**
 * The one place that decides which evidence a refusal leaves. Before authentication: a signed count per peer and
 * reason. After it: a durable entry, until the principal has had its share of them this minute; then a count.
 */
export async function recordRefusal(
  gate: Gate,
  peerUid: number,
  progress: Progress,
  refusal: Refusal,
): Promise<void> {
  const { authenticated } = progress;
  if (authenticated === undefined) {
    gate.shed.count(`uid:${peerUid}`, refusal.code);
    return;
  }
  const { caller } = authenticated;
  if (progress.resolved?.request.dryRun) return;
  if (!gate.shed.admitDenial(caller.tenant, caller.principal)) {
    gate.shed.count(`principal:${caller.tenant}:${caller.principal}`.slice(0, 256), refusal.code);
    return;
  }
  const payload = progress.planned?.payload;
  await gate.ledger.act(
    "denyCall",
    {
      body: {
        trace_id: authenticated.traceId,
        tenant: caller.tenant,
        principal: caller.principal,
        session_id: caller.sessionId,
        jkt: caller.jkt,
        action_id: sanitise(authenticated.request.actionId, 128),
        action_digest: progress.resolved?.action.digest ?? null,
        approval_id: null,
        code: refusal.code,
        status: refusal.status,
        reasons: refusal.reasons.slice(0, 64).map(({ code, text, rule }) => ({
          code: code.slice(0, 256),
          text: sanitise(text, 500),
          rule: rule.slice(0, 256),
        })),
        request: progress.planned?.commitment ?? null,
        policy_version: progress.planned === undefined ? null : gate.policy.version,
        boundary: authenticated.boundary,
        decision: refusal.decision,
      },
      proof: authenticated.proof,
    },
    payload === undefined || progress.payloadStored ? [] : [payload],
  );
}
