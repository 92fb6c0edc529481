import type { Database } from "bun:sqlite";

/** Call budgets by scope, and what each open grant holds of them. Part of the ledger database, so that a reservation and its grant are one commit. */
export const BUDGET_TABLES = `
CREATE TABLE IF NOT EXISTS budgets (
  scope TEXT NOT NULL, name TEXT NOT NULL, max_calls INTEGER, reserved INTEGER NOT NULL DEFAULT 0,
  committed INTEGER NOT NULL DEFAULT 0, expires_ms INTEGER, PRIMARY KEY (scope, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reservations (
  grant_id TEXT NOT NULL, scope TEXT NOT NULL, name TEXT NOT NULL, calls INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('reserved', 'committed', 'released')),
  PRIMARY KEY (grant_id, scope, name)) WITHOUT ROWID;
`;

/** One budget: of a session, or of a principal within a tenant for one UTC day. */
export interface BudgetKey {
  readonly scope: "session" | "principal_day";
  readonly name: string;
}

export const DAY_MS = 86_400_000;

export function principalDay(tenant: string, principal: string, now: number): BudgetKey {
  return {
    scope: "principal_day",
    name: `${new Date(now).toISOString().slice(0, 10)} ${tenant} ${principal}`,
  };
}

interface BudgetRow {
  max_calls: number | null;
  reserved: number;
  committed: number;
}

/** Opens a budget, or changes the limit of one that exists; what was spent stays spent. Null means no limit. */
export function setBudget(
  db: Database,
  key: BudgetKey,
  maxCalls: number | null,
  expiresMs: number | null,
): void {
  db.query(
    `INSERT INTO budgets (scope, name, max_calls, expires_ms) VALUES (?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET max_calls = excluded.max_calls, expires_ms = excluded.expires_ms`,
  ).run(key.scope, key.name, maxCalls, expiresMs);
}

/** Opens a budget that may exist already; its limit and what was spent stay as they are. */
export function ensureBudget(db: Database, key: BudgetKey, maxCalls: number | null, expiresMs: number): void {
  db.query("INSERT OR IGNORE INTO budgets (scope, name, max_calls, expires_ms) VALUES (?, ?, ?, ?)").run(
    key.scope,
    key.name,
    maxCalls,
    expiresMs,
  );
}

/** Calls left; null when there is no limit; 0 when there is no such budget, so that a lost budget allows nothing. */
export function callsRemaining(db: Database, key: BudgetKey): number | null {
  const row = db
    .query<BudgetRow, [string, string]>(
      "SELECT max_calls, reserved, committed FROM budgets WHERE scope = ? AND name = ?",
    )
    .get(key.scope, key.name);
  if (row === null) return 0;
  return row.max_calls === null ? null : Math.max(0, row.max_calls - row.reserved - row.committed);
}

/** The tightest of several; null when none limits. */
export function tightest(remaining: readonly (number | null)[]): number | null {
  return remaining.reduce<number | null>(
    (least, one) => (one === null ? least : least === null ? one : Math.min(least, one)),
    null,
  );
}

/**
 * Reserves one call in each budget for a grant, or nothing at all. Returns the calls then left (null without a
 * limit), or `exhausted`. Runs inside the grant's transaction.
 */
export function reserveCall(
  db: Database,
  grantId: string,
  keys: readonly BudgetKey[],
): { readonly remaining: number | null } | "exhausted" {
  const before = keys.map((key) => callsRemaining(db, key));
  if (before.some((calls) => calls !== null && calls < 1)) return "exhausted";
  for (const { scope, name } of keys) {
    db.query("UPDATE budgets SET reserved = reserved + 1 WHERE scope = ? AND name = ?").run(scope, name);
    db.query(
      "INSERT INTO reservations (grant_id, scope, name, calls, state) VALUES (?, ?, ?, 1, 'reserved')",
    ).run(grantId, scope, name);
  }
  const least = tightest(before);
  return { remaining: least === null ? null : least - 1 };
}

/**
 * Settles what a grant reserved: spent when an effect may exist, given back when provably none does.
 * Settling twice changes nothing: only a reservation still open moves.
 */
export function settleCall(db: Database, grantId: string, outcome: "committed" | "released"): number {
  const open = db
    .query<{ scope: string; name: string; calls: number }, [string]>(
      "SELECT scope, name, calls FROM reservations WHERE grant_id = ? AND state = 'reserved'",
    )
    .all(grantId);
  for (const { scope, name, calls } of open) {
    db.query(
      `UPDATE budgets SET reserved = reserved - ?1, committed = committed + ?2 WHERE scope = ?3 AND name = ?4`,
    ).run(calls, outcome === "committed" ? calls : 0, scope, name);
  }
  db.query("UPDATE reservations SET state = ? WHERE grant_id = ? AND state = 'reserved'").run(
    outcome,
    grantId,
  );
  return open.length === 0 ? 0 : 1;
}

/** Drops budgets whose time is over and reservations that are settled; neither is evidence. */
export function sweepBudgets(db: Database, now: number): void {
  db.query("DELETE FROM budgets WHERE expires_ms < ? AND reserved = 0").run(now);
  db.query("DELETE FROM reservations WHERE state <> 'reserved'").run();
}
