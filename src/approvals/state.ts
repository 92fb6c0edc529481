import type { Database } from "bun:sqlite";

/** Calls that wait for a human, and the votes on them. */
export const APPROVAL_TABLES = `
CREATE TABLE IF NOT EXISTS holds (
  approval_id TEXT PRIMARY KEY, seq INTEGER NOT NULL UNIQUE, trace_id TEXT NOT NULL, state TEXT NOT NULL
    CHECK (state IN ('pending', 'approved', 'denied', 'failed', 'expired')),
  tenant TEXT NOT NULL, principal TEXT NOT NULL, session_id TEXT NOT NULL, jkt TEXT NOT NULL,
  action_id TEXT NOT NULL, action_version TEXT NOT NULL, action_digest TEXT NOT NULL, risk TEXT NOT NULL,
  call TEXT NOT NULL, call_bytes INTEGER NOT NULL, policy_version TEXT NOT NULL, quorum INTEGER NOT NULL,
  epoch INTEGER NOT NULL, created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, grant_id TEXT, receipt_id TEXT,
  code TEXT, reason TEXT, decided_by TEXT, completed_ms INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS holds_state ON holds (state, expires_ms);
CREATE INDEX IF NOT EXISTS holds_created ON holds (created_ms);
CREATE TABLE IF NOT EXISTS votes (
  approval_id TEXT NOT NULL, jkt TEXT NOT NULL, operator TEXT NOT NULL, voted_ms INTEGER NOT NULL,
  PRIMARY KEY (approval_id, jkt)) WITHOUT ROWID;
`;

export type HoldState = "pending" | "approved" | "denied" | "failed" | "expired";

export interface HoldRow {
  readonly approval_id: string;
  readonly seq: number;
  readonly trace_id: string;
  readonly state: HoldState;
  readonly tenant: string;
  readonly principal: string;
  readonly session_id: string;
  readonly jkt: string;
  readonly action_id: string;
  readonly action_version: string;
  readonly action_digest: string;
  readonly risk: "low" | "medium" | "high" | "critical";
  /** Commitment that names the stored call, as the signed `call.held` entry has it. */
  readonly call: string;
  readonly call_bytes: number;
  readonly policy_version: string;
  readonly quorum: number;
  readonly epoch: number;
  readonly created_ms: number;
  readonly expires_ms: number;
  readonly grant_id: string | null;
  readonly receipt_id: string | null;
  readonly code: string | null;
  readonly reason: string | null;
  readonly decided_by: string | null;
  readonly completed_ms: number | null;
}

export type NewHold = Omit<
  HoldRow,
  "state" | "grant_id" | "receipt_id" | "code" | "reason" | "decided_by" | "completed_ms"
>;

export function insertHold(db: Database, hold: NewHold): void {
  db.query(
    `INSERT INTO holds (approval_id, seq, trace_id, state, tenant, principal, session_id, jkt, action_id,
       action_version, action_digest, risk, call, call_bytes, policy_version, quorum, epoch, created_ms, expires_ms)
     VALUES ($approval_id, $seq, $trace_id, 'pending', $tenant, $principal, $session_id, $jkt, $action_id,
       $action_version, $action_digest, $risk, $call, $call_bytes, $policy_version, $quorum, $epoch, $created_ms, $expires_ms)`,
  ).run({ ...hold });
}

export function findHold(db: Database, approvalId: string): HoldRow | null {
  return db.query<HoldRow, [string]>("SELECT * FROM holds WHERE approval_id = ?").get(approvalId);
}

/** Newest first; of one state or of all. */
export function listHolds(
  db: Database,
  filter: { state: HoldState | null; tenant: string | null; limit: number },
): HoldRow[] {
  return db
    .query<HoldRow, [string | null, string | null, number]>(
      `SELECT * FROM holds WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR tenant = ?2)
       ORDER BY created_ms DESC, approval_id DESC LIMIT ?3`,
    )
    .all(filter.state, filter.tenant, filter.limit);
}

export function votesOf(db: Database, approvalId: string): { jkt: string; operator: string }[] {
  return db
    .query<{ jkt: string; operator: string }, [string]>(
      "SELECT jkt, operator FROM votes WHERE approval_id = ? ORDER BY voted_ms, jkt",
    )
    .all(approvalId);
}

/** Counts a vote; the same key never counts twice. Returns the distinct keys so far. */
export function addVote(
  db: Database,
  approvalId: string,
  jkt: string,
  operator: string,
  now: number,
): number {
  db.query("INSERT OR IGNORE INTO votes (approval_id, jkt, operator, voted_ms) VALUES (?, ?, ?, ?)").run(
    approvalId,
    jkt,
    operator,
    now,
  );
  return votesOf(db, approvalId).length;
}

export interface Completion {
  readonly state: Exclude<HoldState, "pending">;
  readonly code?: string | null;
  readonly reason?: string | null;
  readonly decidedBy?: string | null;
}

/** Moves a hold out of `pending`; false when it had left it already, so that only one decision wins. */
export function completeHold(db: Database, approvalId: string, now: number, completion: Completion): boolean {
  const { changes } = db
    .query(
      `UPDATE holds SET state = ?, code = ?, reason = ?, decided_by = ?, completed_ms = ?
       WHERE approval_id = ? AND state = 'pending'`,
    )
    .run(
      completion.state,
      completion.code ?? null,
      completion.reason ?? null,
      completion.decidedBy ?? null,
      now,
      approvalId,
    );
  return changes === 1;
}

/** Ties an approved hold to its one grant; false when it has one, or was not approved. */
export function claimHold(db: Database, approvalId: string, grantId: string): boolean {
  return (
    db
      .query(
        "UPDATE holds SET grant_id = ? WHERE approval_id = ? AND state = 'approved' AND grant_id IS NULL",
      )
      .run(grantId, approvalId).changes === 1
  );
}

/** Records how the one execution of an approved hold ended. */
export function finishHold(
  db: Database,
  approvalId: string,
  end: { receiptId: string | null; failed: boolean; code: string | null },
): void {
  db.query(
    "UPDATE holds SET receipt_id = ?, code = ?, state = ? WHERE approval_id = ? AND state = 'approved'",
  ).run(end.receiptId, end.code, end.failed ? "failed" : "approved", approvalId);
}
