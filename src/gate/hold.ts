import { rfc3339 } from "../core/clock.ts";
import type { Authorized } from "./call.ts";
import { callRecord } from "./call-record.ts";
import { conflictRefusal } from "./conflict.ts";
import type { Gate } from "./gate.ts";
import { type Refusal, sanitise } from "./refusal.ts";

/** A call that waits for a human. */
export interface Held {
  readonly approvalId: string;
  readonly expires: string;
}

/** Step 7: stop here for a human. The exact call is stored; the signed entry commits to it. */
export async function hold(gate: Gate, authorized: Authorized): Promise<Held | Refusal> {
  const { call, cause, decision } = authorized;
  if (cause.kind !== "proof") throw new Error("an approved call cannot be held again");
  const approvalId = gate.newId();
  const expiresMs = gate.clock.now() + gate.config.approvals.ttl_s * 1000;
  const { caller, action } = call;
  const result = await gate.ledger.act(
    "holdCall",
    {
      body: {
        ...callRecord(call),
        jkt: caller.jkt,
        approval_id: approvalId,
        risk: action.risk.level,
        call: call.commitment,
        reasons: decision.reasons.map(({ code, text, rule }) => ({ code, text: sanitise(text, 500), rule })),
        policy_version: decision.policy_version,
        quorum: decision.obligations.quorum,
        epoch: caller.epoch,
        expires: rfc3339(expiresMs),
        boundary: call.boundary,
        decision: "pending_approval",
      },
      proof: cause.proof,
      idempotency: cause.idempotency,
      expiresMs,
      maxPending: gate.config.approvals.max_pending_per_principal,
    },
    [call.payload],
  );
  return result.kind === "held" ? { approvalId, expires: rfc3339(expiresMs) } : conflictRefusal(result.kind);
}
