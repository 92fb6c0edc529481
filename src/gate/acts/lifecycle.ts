import type { HoldRow } from "../../approvals/state.ts";
import { DAY_MS, sweepBudgets } from "../../budgets/state.ts";
import { rfc3339 } from "../../core/clock.ts";
import { isFault, readPayload } from "../../ledger/entry/entry.ts";
import { openJws } from "../../ledger/entry/jws.ts";
import type { Boundary, EntryBody } from "../../ledger/entry/types.ts";
import type { LedgerTransaction } from "../../ledger/writer.ts";
import { endHold } from "./approvals.ts";
import { recordReceipt } from "./receipt.ts";
import { readEpoch, readMeta, writeMeta } from "./state.ts";

export interface StartInput {
  readonly gateVersion: string;
  readonly boundary: Boundary;
  readonly policyVersion: string;
  readonly registryDigest: string;
  readonly generation: number;
  readonly actions: number;
  readonly unsafe: readonly string[];
  /** Everybody who may decide, so that an auditor knows whose word an approval is. */
  readonly operators: EntryBody<"operators.loaded">["operators"];
}

/**
 * Opens a run of the gate: every grant that a crash left open is closed as `indeterminate`, approvals that never got
 * their grant fail, what is over is swept, and the log says which policy, actions and operators are in force.
 */
export function startGate(tx: LedgerTransaction, input: StartInput): { epoch: number; closed: number } {
  const epoch = readEpoch(tx.db);
  const closed = closeOpenGrants(tx);
  const stranded = tx.db
    .query<HoldRow, []>("SELECT * FROM holds WHERE state = 'approved' AND grant_id IS NULL")
    .all();
  for (const hold of stranded)
    endHold(tx, hold, "fail", "gate_restarted", "the gate stopped before it could run");
  tx.append("gate.started", {
    gate_version: input.gateVersion,
    boundary: input.boundary,
    epoch,
    policy_version: input.policyVersion,
    registry_digest: input.registryDigest,
    unsafe: input.unsafe,
  });
  tx.append("registry.loaded", {
    generation: input.generation,
    registry_digest: input.registryDigest,
    actions: input.actions,
  });
  tx.append("operators.loaded", { operators: input.operators });
  const previous = readMeta(tx.db, "policy_version");
  if (previous !== input.policyVersion) {
    writeMeta(tx.db, "policy_version", input.policyVersion);
    tx.append("policy.changed", { policy_version: input.policyVersion, previous });
  }
  sweepState(tx, null);
  return { epoch, closed };
}

/** What a grant whose run was cut short did is not known; its receipt says just that. */
function closeOpenGrants(tx: LedgerTransaction): number {
  const open = tx.db
    .query<{ grant_id: string; approval_id: string | null; jws: string; time_ms: number }, []>(
      `SELECT grant_id, approval_id, jws, time_ms FROM grants JOIN entries USING (seq)
       WHERE receipt_id IS NULL ORDER BY seq`,
    )
    .all();
  for (const row of open) {
    const opened = openJws(row.jws);
    const grant = opened === null ? null : readPayload(opened.payload);
    if (grant === null || isFault(grant) || grant.type !== "call.granted")
      throw new Error(`the grant ${row.grant_id} cannot be read`);
    recordReceipt(tx, {
      approvalId: row.approval_id,
      body: {
        trace_id: grant.trace_id,
        tenant: grant.tenant,
        principal: grant.principal,
        session_id: grant.session_id,
        action_id: grant.action_id,
        action_version: grant.action_version,
        action_digest: grant.action_digest,
        receipt_id: tx.newId(),
        grant_id: grant.grant_id,
        component_digest: grant.component_digest,
        status: "indeterminate",
        dispatched: "unknown",
        confirmed: false,
        claim: null,
        effects: [],
        verification: { outcome: "skipped", reasons: ["the gate stopped before the call ended"] },
        error: "gate_restarted",
        started: rfc3339(row.time_ms),
        finished: rfc3339(tx.now),
        duration_ms: Math.max(0, tx.now - row.time_ms),
        io_calls: 0,
        fuel: null,
        peak_memory_bytes: null,
        redactions: 0,
        boundary: grant.boundary,
        decision: "error",
      },
    });
  }
  return open.length;
}

export function stopGate(tx: LedgerTransaction, input: { readonly reason: string }): void {
  tx.append("gate.stopped", { reason: input.reason });
}

export function rotateKey(
  tx: LedgerTransaction,
  input: { readonly purpose: "evidence" | "checkpoint" | "lease" },
): { readonly previous: string; readonly kid: string } {
  return tx.rotate(input.purpose);
}

/** Load that was refused and not recorded one by one, as signed counts. */
export function summariseShed(tx: LedgerTransaction, input: EntryBody<"shed.summary">): void {
  tx.append("shed.summary", input);
}

/** How long a session's row outlives its lease: longer than any hold made under it can wait. */
const LEASE_KEPT_MS = 2 * DAY_MS;
/** How long an `Idempotency-Key` is remembered. */
const IDEMPOTENCY_KEPT_MS = 7 * DAY_MS;

/** Ends every hold whose time is over and drops state that can't matter any more. Returns the holds ended. */
export function sweepState(tx: LedgerTransaction, _input: null): number {
  const due = tx.db
    .query<HoldRow, [number]>(
      // One that was approved and got no grant by then gets none any more.
      `SELECT * FROM holds WHERE expires_ms <= ? AND (state = 'pending' OR (state = 'approved' AND grant_id IS NULL))`,
    )
    .all(tx.now);
  for (const hold of due) endHold(tx, hold, "expire", "expired", "nobody decided in time");
  tx.db.query("DELETE FROM proofs WHERE expires_ms < ?").run(tx.now);
  tx.db.query("DELETE FROM leases WHERE expires_ms < ?").run(tx.now - LEASE_KEPT_MS);
  tx.db.query("DELETE FROM idempotency WHERE created_ms < ?").run(tx.now - IDEMPOTENCY_KEPT_MS);
  sweepBudgets(tx.db, tx.now);
  return due.length;
}
