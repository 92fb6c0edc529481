import { Database } from "bun:sqlite";
import { chmodSync, closeSync, constants, openSync } from "node:fs";
import { LedgerError } from "../errors.ts";
import { migrate } from "./migrations.ts";

/** Version of the tables; raised with a migration (migrations.ts), never silently. */
export const SCHEMA_VERSION = 3;

/**
 * Evidence, and the state that must commit with it. Everything beside `entries` and `checkpoints` is a projection of
 * the entries or short-lived state; none of it holds a body, a path, a key or a secret.
 */
const LEDGER_TABLES = `
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, time_ms INTEGER NOT NULL, trace_id TEXT,
  tenant TEXT, principal TEXT, action_id TEXT, decision TEXT, jws TEXT NOT NULL, hash BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS entries_type ON entries (type, seq);
CREATE INDEX IF NOT EXISTS entries_trace ON entries (trace_id) WHERE trace_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS checkpoints (size INTEGER PRIMARY KEY, root BLOB NOT NULL, note TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS nodes (
  level INTEGER NOT NULL, idx INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, idx)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cosignatures (
  size INTEGER NOT NULL, witness TEXT NOT NULL, public_key TEXT NOT NULL, timestamp INTEGER NOT NULL,
  line TEXT NOT NULL, UNIQUE (size, public_key));
CREATE TABLE IF NOT EXISTS timestamps (
  size INTEGER NOT NULL, authority TEXT NOT NULL, certificate TEXT NOT NULL, time_ms INTEGER NOT NULL,
  token BLOB NOT NULL, UNIQUE (size, authority));
CREATE TABLE IF NOT EXISTS leases (
  session_id TEXT PRIMARY KEY, lease_jti TEXT NOT NULL, tenant TEXT NOT NULL, principal TEXT NOT NULL,
  jkt TEXT NOT NULL, scopes TEXT NOT NULL, epoch INTEGER NOT NULL, expires_ms INTEGER NOT NULL, fs_root TEXT,
  principal_max_calls INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS leases_expiry ON leases (expires_ms);
CREATE TABLE IF NOT EXISTS proofs (
  jkt TEXT NOT NULL, jti TEXT NOT NULL, expires_ms INTEGER NOT NULL, PRIMARY KEY (jkt, jti)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS proofs_expiry ON proofs (expires_ms);
CREATE TABLE IF NOT EXISTS idempotency (
  tenant TEXT NOT NULL, principal TEXT NOT NULL, key TEXT NOT NULL, request TEXT NOT NULL, grant_id TEXT,
  approval_id TEXT, created_ms INTEGER NOT NULL, PRIMARY KEY (tenant, principal, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS grants (
  grant_id TEXT PRIMARY KEY, seq INTEGER NOT NULL UNIQUE, approval_id TEXT, session_id TEXT NOT NULL,
  principal TEXT NOT NULL, receipt_id TEXT, receipt_seq INTEGER) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS grants_approval ON grants (approval_id) WHERE approval_id IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS grants_receipt ON grants (receipt_id) WHERE receipt_id IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS grants_receipt_seq ON grants (receipt_seq) WHERE receipt_seq IS NOT NULL;
CREATE INDEX IF NOT EXISTS grants_open ON grants (seq) WHERE receipt_id IS NULL;
CREATE TABLE IF NOT EXISTS pruned (commitment TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pruned_seq ON pruned (seq);
`;

const PAYLOAD_TABLES = `
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS payloads (
  commitment TEXT PRIMARY KEY, kind TEXT NOT NULL, created_ms INTEGER NOT NULL, bytes INTEGER NOT NULL,
  sealed BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS payload_keys (commitment TEXT PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID;
`;

/** Creates the file, private, before SQLite may do it under the process's umask. */
function createPrivate(path: string): void {
  closeSync(openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600));
  chmodSync(path, 0o600);
}

function open(path: string, tables: string): Database {
  createPrivate(path);
  const db = new Database(path, { readwrite: true, strict: true });
  db.run("PRAGMA journal_mode = WAL");
  // FULL: a commit returns after its WAL frames are synced, which is what lets an effect follow a grant.
  db.run("PRAGMA synchronous = FULL");
  // 16 MB of write-ahead log: folding it into the file holds up commits, and folds a page once however often it changed.
  db.run("PRAGMA wal_autocheckpoint = 4000");
  db.run("PRAGMA secure_delete = ON");
  db.run("PRAGMA busy_timeout = 5000");
  db.run("PRAGMA foreign_keys = ON");
  db.run(tables);
  return db;
}

export function openLedgerDatabase(path: string, stateTables: readonly string[]): Database {
  const db = open(path, LEDGER_TABLES + stateTables.join("\n"));
  const row = db.query<{ value: string }, []>("SELECT value FROM meta WHERE name = 'schema'").get();
  if (row === null)
    db.query("INSERT INTO meta (name, value) VALUES ('schema', ?)").run(String(SCHEMA_VERSION));
  else if (row.value !== String(SCHEMA_VERSION) && !migrate(db, row.value, SCHEMA_VERSION))
    throw new LedgerError(
      "ledger_unsupported",
      `the ledger has schema ${row.value}, this gate writes ${SCHEMA_VERSION}`,
      {
        hint: "use the version of latchgate that made it, or a newer one",
      },
    );
  return db;
}

export function openPayloadDatabase(path: string): Database {
  return open(path, PAYLOAD_TABLES);
}
