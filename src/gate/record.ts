import { canonicalJson } from "../core/canonical-json.ts";
import { rfc3339 } from "../core/clock.ts";
import { commit, makePayload } from "../ledger/store/payloads.ts";
import type { Verified } from "./call.ts";
import { callRecord } from "./call-record.ts";
import { effectRecord } from "./effect-record.ts";
import type { Gate } from "./gate.ts";
import { sanitise } from "./refusal.ts";

/** Step 11: one durable transaction, the signed receipt with the settled budget. Resolves to its id and seq. */
export async function record(
  gate: Gate,
  ended: Verified,
): Promise<{ readonly receiptId: string; readonly seq: number }> {
  const { call, cause } = ended;
  const receiptId = gate.newId();
  const output =
    ended.answer === null ? null : makePayload("output", Buffer.from(canonicalJson(ended.answer)));
  const appended = await gate.ledger.act(
    "recordReceipt",
    {
      approvalId: cause.kind === "approval" ? cause.approvalId : null,
      body: {
        ...callRecord(call),
        receipt_id: receiptId,
        grant_id: ended.grantId,
        component_digest: call.component,
        status: ended.status,
        dispatched: ended.dispatched,
        confirmed: ended.confirmed,
        claim: output === null ? null : commit(output),
        effects: ended.effects.map((effect) => effectRecord(effect, call.payload.salt)),
        verification: {
          outcome: ended.verification.outcome,
          reasons: ended.verification.reasons.slice(0, 32).map((reason) => sanitise(reason, 500)),
        },
        error: ended.error,
        started: rfc3339(ended.startedMs),
        finished: rfc3339(gate.clock.now()),
        duration_ms: Math.max(0, Math.round(gate.clock.monotonic() - ended.startedMonotonic)),
        io_calls: ended.ioCalls,
        fuel: ended.fuel,
        peak_memory_bytes: ended.peakMemoryBytes,
        redactions: ended.redactions,
        boundary: call.boundary,
        decision:
          ended.status !== "executed"
            ? "error"
            : ended.verification.outcome === "verified"
              ? "allow"
              : "allow_unverified",
      },
    },
    output === null ? [] : [output],
  );
  gate.running.leave(ended.grantId);
  if (appended === "closed") throw new Error(`the grant ${ended.grantId} already has a receipt`);
  return { receiptId, seq: appended.seq };
}
