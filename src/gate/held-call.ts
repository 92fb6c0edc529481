import type { HoldRow } from "../approvals/state.ts";
import { LedgerError } from "../ledger/errors.ts";
import type { Payload } from "../ledger/store/payloads.ts";
import type { Gate } from "./gate.ts";
import { readStoredCall, type StoredCall } from "./plan.ts";
import { type Refusal, refuse } from "./refusal.ts";
import { repudiatedRefusal } from "./repudiated.ts";
import { type HeldEntry, isSameHold } from "./same-hold.ts";

export interface HeldCall {
  readonly entry: HeldEntry;
  readonly stored: StoredCall;
  readonly payload: Payload;
}

/** The signed entry of a hold. Throws `ledger_damaged`, also when the row differs from it, and `entry_repudiated`. */
function openHeldEntry(gate: Gate, hold: HoldRow): HeldEntry {
  const entry = gate.reader.trusted(hold.seq, "call.held");
  if (isSameHold(entry, hold)) return entry;
  throw new LedgerError("ledger_damaged", `hold ${hold.approval_id} differs from its entry`);
}

/**
 * The stored call of a hold, as the signed entry committed to it: neither row nor payload can have been changed.
 * Throws `ledger_damaged`, `entry_repudiated` and `payload_missing`.
 */
export function openHeldCall(gate: Gate, hold: HoldRow): HeldCall {
  const entry = openHeldEntry(gate, hold);
  const payload = gate.reader.payload(entry.call.commitment);
  return { entry, stored: readStoredCall(payload), payload };
}

/** As {@link openHeldCall}; a hold that is not what its signed entry committed to gets no decision in favour. */
export function readHeldCall(gate: Gate, hold: HoldRow): HeldCall | Refusal {
  return orRefusal(() => openHeldCall(gate, hold));
}

/** The signed entry of a hold, when its row says the same; a refusal otherwise. */
export function readHeldEntry(gate: Gate, hold: HoldRow): HeldEntry | Refusal {
  return orRefusal(() => openHeldEntry(gate, hold));
}

function orRefusal<T>(read: () => T): T | Refusal {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error;
    if (error.code === "entry_repudiated") return repudiatedRefusal("call");
    return refuse("conflict", 409, "the stored call is not the one that was held", {
      hint: "run latchgate verify; the agent must ask again",
    });
  }
}
