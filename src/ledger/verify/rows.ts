import type { Database } from "bun:sqlite";
import type { StoredCheckpoint, StoredEntry } from "./log-verifier.ts";

/** SQLite keeps a value of any class in any column, and an attacker wrote the file. */
export type Raw<T> = { readonly [C in keyof T]: unknown };

/** What the table of grants has beside a grant entry, or beside a receipt entry. */
export interface GrantColumns {
  readonly grant_id: string;
  readonly grant_approval: string | null;
  readonly grant_session: string;
  readonly grant_principal: string;
  readonly receipt_id: string;
}

/** An entry with what stands beside it, as the file gives it. */
export type FileRow = Raw<StoredEntry & GrantColumns>;

const ROWS = `SELECT e.seq, e.id, e.type, e.time_ms, e.trace_id, e.tenant, e.principal, e.action_id, e.decision, e.jws,
    e.hash, coalesce(g.grant_id, r.grant_id) AS grant_id, g.approval_id AS grant_approval,
    g.session_id AS grant_session, g.principal AS grant_principal, r.receipt_id AS receipt_id
  FROM entries e LEFT JOIN grants g ON e.type = 'call.granted' AND g.seq = e.seq
    LEFT JOIN grants r ON e.type = 'call.receipt' AND r.receipt_seq = e.seq`;

/** The rows from a position on, one after the other. */
export function rowsFrom(db: Database, from: number | null): Iterable<FileRow> {
  if (from === null) return db.query<FileRow, []>(`${ROWS} ORDER BY e.seq`).iterate();
  return db.query<FileRow, [number]>(`${ROWS} WHERE e.seq >= ? ORDER BY e.seq`).iterate(from);
}

/**
 * The rows of a range, one after the other. Who has enough may stop: the statement is nobody else's, as one that is
 * left half-way does not begin anew.
 */
export function* rowsBetween(db: Database, { from, to }: Range): Generator<FileRow> {
  const statement = db.prepare<FileRow, [number, number]>(
    `${ROWS} WHERE e.seq >= ? AND e.seq < ? ORDER BY e.seq`,
  );
  try {
    yield* statement.iterate(from, to);
  } finally {
    statement.finalize();
  }
}

/** Bytes of a row, about: 256 of them are what a thread may hold. What an attacker made longer is read one by one. */
const LONG = 65_536;
const LENGTH = [
  "e.jws",
  "e.hash",
  "e.id",
  "e.type",
  "e.time_ms",
  "e.trace_id",
  "e.tenant",
  "e.principal",
  "e.action_id",
  "e.decision",
  "g.grant_id",
  "g.approval_id",
  "g.session_id",
  "g.principal",
  "r.grant_id",
  "r.receipt_id",
]
  .map((column) => `ifnull(octet_length(${column}), 0)`)
  .join(" + ");
const SHORT_ROWS = `${ROWS} WHERE e.seq >= ? AND e.seq < ? AND ${LENGTH} < ${LONG} ORDER BY e.seq`;

/** The rows of a range at once, without those that are too long for that. */
export function shortRows(db: Database, { from, to }: Range): FileRow[] {
  return db.query<FileRow, [number, number]>(SHORT_ROWS).all(from, to);
}

/** Positions `from` to before `to`. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const blob = (value: unknown): Uint8Array => (value instanceof Uint8Array ? value : new Uint8Array());
const position = (value: unknown): number => (typeof value === "number" ? value : -1);

/** A value of the wrong class becomes one that no valid entry has; the other columns are only ever compared. */
export function entryRow(raw: Raw<StoredEntry>): StoredEntry {
  const row = raw as StoredEntry;
  const traceId = typeof raw.trace_id === "string" || raw.trace_id === null ? raw.trace_id : "";
  return { ...row, seq: position(raw.seq), jws: text(raw.jws), hash: blob(raw.hash), trace_id: traceId };
}

export function checkpointRow(raw: Raw<StoredCheckpoint>): StoredCheckpoint {
  return { size: position(raw.size), root: blob(raw.root), note: text(raw.note) };
}
