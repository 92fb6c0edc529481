import { listHolds } from "../../approvals/state.ts";
import { DAY_MS, principalDay, setBudget } from "../../budgets/state.ts";
import type { EntryBody } from "../../ledger/entry/types.ts";
import type { Appended, LedgerTransaction } from "../../ledger/writer.ts";
import { endHold } from "./approvals.ts";
import { readEpoch, writeEpoch } from "./state.ts";

export interface LeaseInput {
  readonly body: EntryBody<"lease.issued">;
  readonly expiresMs: number;
  /** How long the session's state is kept after the lease is over, for calls that still wait or run. */
  readonly keepMs: number;
  /** The operator's ceiling for the principal per UTC day; null for none. A new lease does not reset it. */
  readonly principalMaxCalls: number | null;
}

/** Registers a session with its budget. `revoked` when the epoch moved since the lease was made up. */
export function issueLease(tx: LedgerTransaction, input: LeaseInput): Appended | "revoked" {
  const { body } = input;
  if (readEpoch(tx.db) !== body.epoch) return "revoked";
  tx.db
    .query(
      `INSERT INTO leases (session_id, lease_jti, tenant, principal, jkt, scopes, epoch, expires_ms, fs_root,
         principal_max_calls)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    )
    .run(
      body.session_id,
      body.lease_jti,
      body.tenant,
      body.principal,
      body.jkt,
      JSON.stringify(body.scopes),
      body.epoch,
      input.expiresMs,
      body.fs_root?.commitment ?? null,
      input.principalMaxCalls,
    );
  const keepUntil = input.expiresMs + input.keepMs;
  setBudget(tx.db, { scope: "session", name: body.session_id }, body.max_calls, keepUntil);
  setBudget(
    tx.db,
    principalDay(body.tenant, body.principal, tx.now),
    input.principalMaxCalls,
    tx.now + 2 * DAY_MS,
  );
  return tx.append("lease.issued", body);
}

export interface RevokeInput {
  readonly traceId: string;
  readonly operator: { readonly id: string; readonly jkt: string };
}

/** The kill switch: everything made under an earlier epoch is void from this commit on, and stays so. */
export function revokeAll(tx: LedgerTransaction, input: RevokeInput): { previous: number; current: number } {
  const previous = readEpoch(tx.db);
  const current = previous + 1;
  writeEpoch(tx.db, current);
  tx.append("revocation", {
    trace_id: input.traceId,
    scope: "all",
    previous_epoch: previous,
    epoch: current,
    operator: input.operator.id,
    jkt: input.operator.jkt,
  });
  for (const hold of listHolds(tx.db, { state: "pending", tenant: null, limit: -1 }))
    endHold(tx, hold, "fail", "revoked", "everything before this moment was revoked");
  return { previous, current };
}
