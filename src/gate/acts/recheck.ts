import type { LedgerTransaction } from "../../ledger/writer.ts";
import { findLease, type LeaseRow, readEpoch, readMeta } from "./state.ts";

/** Why a call that was decided may not go on after all. */
export type CallerConflict = "revoked" | "policy_changed" | "lease_gone";

interface Caller {
  readonly session_id: string;
  readonly principal: string;
  readonly tenant: string;
  readonly jkt: string;
  readonly epoch: number;
  readonly policy_version: string;
}

/**
 * Looks again, inside the transaction, at what may have changed since the decision: the revocation epoch, the policy
 * in force, the lease. Everything is judged as of this commit.
 */
export function checkCaller(
  tx: LedgerTransaction,
  caller: Caller,
  expiresAfter: number | null,
): CallerConflict | LeaseRow {
  if (readEpoch(tx.db) !== caller.epoch) return "revoked";
  if (readMeta(tx.db, "policy_version") !== caller.policy_version) return "policy_changed";
  const lease = findLease(tx.db, caller.session_id);
  if (lease === null || lease.principal !== caller.principal || lease.tenant !== caller.tenant)
    return "lease_gone";
  if (lease.jkt !== caller.jkt || lease.epoch !== caller.epoch) return "lease_gone";
  if (expiresAfter !== null && lease.expires_ms <= expiresAfter) return "lease_gone";
  return lease;
}
