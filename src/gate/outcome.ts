import { parseJson } from "../core/json.ts";
import { LedgerError } from "../ledger/errors.ts";
import type { Gate } from "./gate.ts";
import type { Refusal } from "./refusal.ts";
import { repudiatedRefusal } from "./repudiated.ts";
import { type Outcome, outcomeOf } from "./respond.ts";

/**
 * The outcome of a call from its stored receipt, and its output while that is kept; null without a receipt. A receipt
 * whose key was revoked for it tells nothing any more: a refusal.
 */
export function readOutcome(
  gate: Gate,
  by: { readonly grantId: string } | { readonly receiptId: string },
): Outcome | Refusal | null {
  const entry = gate.reader.receipt(by);
  if (entry === null) return null;
  if (entry.status === "repudiated") return repudiatedRefusal("receipt");
  const receipt = gate.reader.trusted(entry.seq, "call.receipt");
  if (receipt.claim === null) return outcomeOf(receipt, null);
  try {
    const { bytes } = gate.reader.payload(receipt.claim.commitment);
    return outcomeOf(receipt, parseJson(bytes, { bytes: bytes.length, depth: 256 }));
  } catch (error) {
    if (!(error instanceof LedgerError) || error.code !== "payload_missing") throw error;
    const pruned = gate.reader.isPruned(receipt.claim.commitment);
    return { ...outcomeOf(receipt, null), ...(pruned ? { outputPruned: true } : {}) };
  }
}
