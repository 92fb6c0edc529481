import type { Database } from "bun:sqlite";

/** The revocation epoch in force. Leases, holds and grants carry the epoch they were made under. */
export function readEpoch(db: Database): number {
  const row = db.query<{ value: string }, []>("SELECT value FROM meta WHERE name = 'epoch'").get();
  return row === null ? 0 : Number(row.value);
}

export function writeEpoch(db: Database, epoch: number): void {
  writeMeta(db, "epoch", String(epoch));
}

export function readMeta(db: Database, name: string): string | null {
  return (
    db.query<{ value: string }, [string]>("SELECT value FROM meta WHERE name = ?").get(name)?.value ?? null
  );
}

export function writeMeta(db: Database, name: string, value: string): void {
  db.query(
    "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
  ).run(name, value);
}

export interface LeaseRow {
  readonly session_id: string;
  readonly lease_jti: string;
  readonly tenant: string;
  readonly principal: string;
  readonly jkt: string;
  /** A JSON list. */
  readonly scopes: string;
  readonly epoch: number;
  readonly expires_ms: number;
  /** Commitment to the path of the session's folder; null when it has none of its own. */
  readonly fs_root: string | null;
  /** The operator's ceiling for the principal per UTC day; null for none. */
  readonly principal_max_calls: number | null;
}

export function findLease(db: Database, sessionId: string): LeaseRow | null {
  return db.query<LeaseRow, [string]>("SELECT * FROM leases WHERE session_id = ?").get(sessionId);
}

/** The proof that a call was made with: used once, whatever becomes of the call. */
export interface UsedProof {
  readonly jkt: string;
  readonly jti: string;
  readonly expiresMs: number;
}

/** False when this proof has been used before. */
export function useProof(db: Database, proof: UsedProof): boolean {
  return (
    db
      .query("INSERT OR IGNORE INTO proofs (jkt, jti, expires_ms) VALUES (?, ?, ?)")
      .run(proof.jkt, proof.jti, proof.expiresMs).changes === 1
  );
}

/** A client's `Idempotency-Key`, as keyed digests: the log's files never hold what the client chose. */
export interface IdempotencyKey {
  /** Hex. */
  readonly key: string;
  /** Hex digest of action and canonical body; another body under the same key is refused. */
  readonly request: string;
}

export interface IdempotencyRow {
  readonly request: string;
  readonly grant_id: string | null;
  readonly approval_id: string | null;
}

export function findIdempotency(
  db: Database,
  tenant: string,
  principal: string,
  key: string,
): IdempotencyRow | null {
  return db
    .query<IdempotencyRow, [string, string, string]>(
      "SELECT request, grant_id, approval_id FROM idempotency WHERE tenant = ? AND principal = ? AND key = ?",
    )
    .get(tenant, principal, key);
}

/** False when the key is taken. */
export function takeIdempotencyKey(
  db: Database,
  owner: { readonly tenant: string; readonly principal: string },
  key: IdempotencyKey,
  cause: { readonly grantId?: string; readonly approvalId?: string },
  now: number,
): boolean {
  return (
    db
      .query(
        `INSERT OR IGNORE INTO idempotency (tenant, principal, key, request, grant_id, approval_id, created_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(
        owner.tenant,
        owner.principal,
        key.key,
        key.request,
        cause.grantId ?? null,
        cause.approvalId ?? null,
        now,
      ).changes === 1
  );
}
