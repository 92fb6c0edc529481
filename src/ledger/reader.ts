import { Database, type SQLQueryBindings } from "bun:sqlite";
import { existsSync } from "node:fs";
import type { HistoricalKey, KeyHistory } from "../keys/history.ts";
import { type EntryPayload, isFault, readPayload } from "./entry/entry.ts";
import { leafHash, type OpenedJws, openJws, verifyJws } from "./entry/jws.ts";
import type { EntryType } from "./entry/types.ts";
import { LedgerError } from "./errors.ts";
import { loadHistory } from "./load.ts";
import { type Payload, PayloadReader } from "./store/payloads.ts";

export type SignatureStatus = "valid" | "repudiated" | "invalid" | "unknown_key_id" | "malformed_signature";

/** An entry with what a reader needs to judge it; nothing in it was believed from a column. */
export interface ReadEntry {
  readonly seq: number;
  readonly payload: EntryPayload;
  readonly jws: string;
  readonly leafHash: string;
  readonly kid: string;
  readonly signature: Buffer;
  /** Lower-case hex SHA-256 of the payload bytes. */
  readonly payloadHash: string;
  readonly status: SignatureStatus;
}

export interface EventFilter {
  readonly trace_id?: string;
  readonly session_id?: string;
  /** Any of these. */
  readonly types?: readonly string[];
  readonly action_id?: string;
  readonly principal?: string;
  readonly decision?: string;
  readonly tenant?: string;
  /** Milliseconds, exclusive. */
  readonly after?: number;
  readonly before?: number;
  /** Only entries after this one, oldest first: for following the log. */
  readonly afterSeq?: number;
  readonly limit: number;
}

/** Reads a ledger beside its writer, on connections of its own; every entry is verified as it is read. */
export class LedgerReader {
  /** For state that other rooms keep in the same file. Read only. */
  readonly db: Database;
  private readonly payloads: PayloadReader;
  private readonly payloadDb: Database;
  private history: KeyHistory;

  constructor(ledgerPath: string, payloadsPath: string) {
    if (!existsSync(ledgerPath))
      throw new LedgerError("ledger_unreadable", `there is no ledger at ${ledgerPath}`);
    this.db = new Database(ledgerPath, { readonly: true, strict: true });
    this.payloadDb = new Database(payloadsPath, { readonly: true, strict: true });
    for (const db of [this.db, this.payloadDb]) db.run("PRAGMA busy_timeout = 5000");
    this.payloads = new PayloadReader(this.payloadDb);
    this.history = loadHistory(this.db).keys;
  }

  close(): void {
    this.db.close();
    this.payloadDb.close();
  }

  /** Reads the key history again, after a rotation. */
  refreshKeys(): void {
    this.history = loadHistory(this.db).keys;
  }

  /** Whether the entry at `seq` was signed by a key that was revoked for it. */
  isRepudiated(seq: number): boolean {
    return this.history.isRepudiated(seq);
  }

  keys(): readonly HistoricalKey[] {
    return this.history.all();
  }

  /** The entry at `seq`, verified; null when there is none. Throws `ledger_damaged` when it cannot be read. */
  entry(seq: number): ReadEntry | null {
    const row = this.db.query<{ jws: string }, [number]>("SELECT jws FROM entries WHERE seq = ?").get(seq);
    return row === null ? null : this.read(seq, row.jws);
  }

  private read(seq: number, jws: string): ReadEntry {
    const opened = openJws(jws);
    const payload = opened === null ? null : readPayload(opened.payload);
    if (opened === null || payload === null || isFault(payload) || payload.seq !== seq)
      throw new LedgerError("ledger_damaged", `entry ${seq} cannot be read`, {
        hint: "run latchgate verify",
      });
    return {
      seq,
      payload,
      jws,
      leafHash: leafHash(jws).toString("hex"),
      kid: opened.kid,
      signature: opened.signature,
      payloadHash: new Bun.CryptoHasher("sha256").update(opened.payload).digest("hex"),
      status: this.judge(opened, seq),
    };
  }

  private judge(opened: OpenedJws, seq: number): SignatureStatus {
    const key = this.history.evidenceKeyAt(opened.kid, seq);
    if (key === null) return "unknown_key_id";
    if (!verifyJws(opened, key)) return "invalid";
    return this.history.isRepudiated(seq) ? "repudiated" : "valid";
  }

  /**
   * An entry that must be of a type and validly signed, for decisions that rest on it. Throws `ledger_damaged`, and
   * `entry_repudiated` where the key that signed it has been revoked for it.
   */
  trusted<T extends EntryType>(seq: number, type: T): Extract<EntryPayload, { readonly type: T }> {
    const entry = this.entry(seq);
    if (entry?.status === "repudiated")
      throw new LedgerError("entry_repudiated", `entry ${seq} was signed by a key that has been revoked`);
    if (entry === null || entry.status !== "valid" || entry.payload.type !== type)
      throw new LedgerError("ledger_damaged", `entry ${seq} is not a validly signed ${type}`, {
        hint: "run latchgate verify",
      });
    return entry.payload as Extract<EntryPayload, { readonly type: T }>; // its type has just been compared
  }

  /** The terminal receipt by its own id or its grant's. */
  receipt(by: { readonly receiptId: string } | { readonly grantId: string }): ReadEntry | null {
    const [column, id] =
      "receiptId" in by ? (["receipt_id", by.receiptId] as const) : (["grant_id", by.grantId] as const);
    const row = this.db
      .query<{ receipt_seq: number | null }, [string]>(`SELECT receipt_seq FROM grants WHERE ${column} = ?`)
      .get(id);
    const entry = row?.receipt_seq == null ? null : this.entry(row.receipt_seq);
    if (entry === null) return null;
    const { payload } = entry;
    // The row only leads there: what the entry itself says is what was asked for, or the row lies.
    if (payload.type !== "call.receipt" || payload[column] !== id)
      throw new LedgerError(
        "ledger_damaged",
        `entry ${entry.seq} is not the receipt that the table of grants names`,
        {
          hint: "run latchgate verify",
        },
      );
    return entry;
  }

  /** Grants without a receipt: what runs now, or what a crash left (closed at the next start). */
  openGrants(): readonly ReadEntry[] {
    return this.db
      .query<{ seq: number }, []>("SELECT seq FROM grants WHERE receipt_id IS NULL ORDER BY seq")
      .all()
      .flatMap(({ seq }) => this.entry(seq) ?? []);
  }

  /** Newest first, or oldest first after a given entry. */
  events(filter: EventFilter): readonly ReadEntry[] {
    const where: string[] = [];
    const values: SQLQueryBindings[] = [];
    for (const column of ["trace_id", "action_id", "principal", "decision", "tenant"] as const) {
      const value = filter[column];
      if (value === undefined) continue;
      where.push(`${column} = ?`);
      values.push(value);
    }
    for (const [bound, text] of [
      [filter.after, "time_ms > ?"],
      [filter.before, "time_ms < ?"],
      [filter.afterSeq, "seq > ?"],
    ] as const) {
      if (bound === undefined) continue;
      where.push(text);
      values.push(bound);
    }
    if (filter.types !== undefined) {
      where.push(`type IN (${filter.types.map(() => "?").join(", ")})`);
      values.push(...filter.types);
    }
    const order = filter.afterSeq === undefined ? "DESC" : "ASC";
    const condition = where.length === 0 ? "" : `WHERE ${where.join(" AND ")}`;
    const rows = this.db
      .query<{ seq: number; jws: string }, SQLQueryBindings[]>(
        `SELECT seq, jws FROM entries ${condition} ORDER BY seq ${order}`,
      )
      .iterate(...values);
    const found: ReadEntry[] = [];
    for (const { seq, jws } of rows) {
      const entry = this.read(seq, jws);
      // The session has no column of its own.
      const session = "session_id" in entry.payload ? entry.payload.session_id : null;
      if (filter.session_id === undefined || session === filter.session_id) found.push(entry);
      if (found.length >= filter.limit) break;
    }
    return found;
  }

  /** Whether the payload was destroyed by a signed act. */
  isPruned(commitment: string): boolean {
    const row = this.db.query("SELECT 1 FROM pruned WHERE commitment = ?").get(commitment);
    return row !== null;
  }

  /** The bytes that a commitment names. Throws `payload_missing`. */
  payload(commitment: string): Payload {
    return this.payloads.read(commitment);
  }
}
