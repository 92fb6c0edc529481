import type { HoldRow } from "../approvals/state.ts";
import { LedgerError } from "../ledger/errors.ts";
import type { Payload } from "../ledger/store/payloads.ts";
import type { Gate } from "./gate.ts";
import { readStoredCall, type StoredCall } from "./plan.ts";
import { type Refusal, refuse } from "./refusal.ts";

export interface HeldCall {
  readonly stored: StoredCall;
  readonly payload: Payload;
}

/**
 * The stored call of a hold, as the signed entry committed to it: neither row nor payload can have been changed.
 * Throws `ledger_damaged` and `payload_missing`.
 */
export function openHeldCall(gate: Gate, hold: HoldRow): HeldCall {
  const entry = gate.reader.trusted(hold.seq, "call.held");
  const same =
    entry.approval_id === hold.approval_id &&
    entry.call.commitment === hold.call &&
    entry.tenant === hold.tenant &&
    entry.principal === hold.principal &&
    entry.session_id === hold.session_id &&
    entry.jkt === hold.jkt &&
    entry.action_digest === hold.action_digest &&
    entry.quorum === hold.quorum &&
    entry.epoch === hold.epoch &&
    Date.parse(entry.expires) === hold.expires_ms;
  if (!same) throw new LedgerError("ledger_damaged", `hold ${hold.approval_id} differs from its entry`);
  const payload = gate.reader.payload(entry.call.commitment);
  return { stored: readStoredCall(payload), payload };
}

/** As {@link openHeldCall}; a hold that is not what its signed entry committed to gets no decision in favour. */
export function readHeldCall(gate: Gate, hold: HoldRow): HeldCall | Refusal {
  try {
    return openHeldCall(gate, hold);
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error;
    return refuse("conflict", 409, "the stored call is not the one that was held", {
      hint: "run latchgate verify; the agent must ask again",
    });
  }
}
