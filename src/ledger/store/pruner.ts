import type { Database } from "bun:sqlite";
import { rfc3339 } from "../../core/clock.ts";
import { commitmentsDigest, namedPayload } from "../entry/commitments.ts";
import { isFault, readPayload } from "../entry/entry.ts";
import { openJws } from "../entry/jws.ts";
import type { EntryBody } from "../entry/types.ts";

export interface WantedPruning {
  /** Milliseconds; only payloads that were stored before this. */
  readonly beforeMs: number;
  /** Commitments that are in use. */
  readonly keep: ReadonlySet<string>;
  readonly cause: "retention" | "operator";
  readonly operator: { readonly id: string; readonly jkt: string } | null;
}

export interface PrunedPayloads {
  readonly payloads: number;
  readonly bytes: number;
  /** Whether there may be more: one act takes a limited number. */
  readonly more: boolean;
}

/** Payloads that one act may take, so that no commit is long. */
const BATCH = 5_000;

/**
 * Destroys payloads with their keys and salts. The signed entry comes first, with the list beside it; a crash before
 * the payloads are gone is made good at the next start, as is a restored copy that has them again.
 */
export class Pruner {
  private readonly db: Database;
  private readonly payloads: Database;
  private marked: string[] = [];

  constructor(db: Database, payloads: Database) {
    this.db = db;
    this.payloads = payloads;
  }

  prune(
    wanted: WantedPruning,
    append: (body: EntryBody<"payload.pruned">) => { readonly seq: number },
  ): PrunedPayloads | null {
    const found = this.payloads
      .query<{ commitment: string; bytes: number }, [number, number]>(
        "SELECT commitment, bytes FROM payloads WHERE created_ms < ? ORDER BY created_ms LIMIT ?",
      )
      .all(wanted.beforeMs, BATCH + wanted.keep.size + this.marked.length);
    const gone = new Set(this.marked);
    const free = found.filter(({ commitment }) => !wanted.keep.has(commitment) && !gone.has(commitment));
    const taken = free.slice(0, BATCH);
    if (taken.length === 0) return null;
    const commitments = taken.map(({ commitment }) => commitment).sort();
    const bytes = taken.reduce((sum, row) => sum + row.bytes, 0);
    const { seq } = append({
      before: rfc3339(wanted.beforeMs),
      payloads: taken.length,
      bytes,
      commitments: commitmentsDigest(commitments),
      cause: wanted.cause,
      operator: wanted.operator,
    });
    const mark = this.db.query("INSERT INTO pruned (commitment, seq) VALUES (?, ?)");
    for (const commitment of commitments) mark.run(commitment, seq);
    this.marked.push(...commitments);
    return { payloads: taken.length, bytes, more: free.length >= BATCH };
  }

  /** After the commit of the entries that say so. */
  destroyMarked(): void {
    if (this.marked.length === 0) return;
    this.destroy(this.marked);
    this.marked = [];
  }

  /** At start: what was pruned and is there all the same. */
  finish(): void {
    const there = this.payloads.query("SELECT 1 FROM payloads WHERE commitment = ?");
    const left: string[] = [];
    const pruned = this.db.query<{ commitment: string }, []>("SELECT commitment FROM pruned");
    for (const { commitment } of pruned.iterate()) if (there.get(commitment) !== null) left.push(commitment);
    this.destroy(left);
  }

  /**
   * While nothing is under way, at start and at the end: payloads that no entry names, left by a crash between the two
   * files or by calls that came to nothing. Looks only at what was stored since the last clean end, and at the entries
   * since then. Returns the last entry seen.
   */
  sweepOrphans(): number {
    const from = { row: this.mark("swept_row"), seq: this.mark("swept_seq") };
    const orphans = new Set(
      this.payloads
        .query<{ commitment: string }, [number]>("SELECT commitment FROM payloads WHERE rowid > ?")
        .all(from.row)
        .map(({ commitment }) => commitment),
    );
    const entries = this.db.query<{ seq: number; jws: string }, [number]>(
      "SELECT seq, jws FROM entries WHERE seq > ? ORDER BY seq",
    );
    let last = from.seq;
    if (orphans.size > 0)
      for (const { seq, jws } of entries.iterate(from.seq)) {
        const opened = openJws(jws);
        const entry = opened === null ? null : readPayload(opened.payload);
        const named = entry === null || isFault(entry) ? null : namedPayload(entry);
        if (named !== null) orphans.delete(named.commitment);
        last = seq;
      }
    this.destroy([...orphans]);
    return last;
  }

  /** At a clean end: sweeps, and remembers how far. A start writes nothing unless it has something to destroy. */
  close(): void {
    this.remember(this.sweepOrphans());
  }

  /** Overwritten with zeros where they stood (`secure_delete`), and folded out of the write-ahead log. */
  private destroy(commitments: readonly string[]): void {
    if (commitments.length === 0) return;
    const keys = this.payloads.query("DELETE FROM payload_keys WHERE commitment = ?");
    const bodies = this.payloads.query("DELETE FROM payloads WHERE commitment = ?");
    this.payloads.transaction(() => {
      for (const commitment of commitments) {
        keys.run(commitment);
        bodies.run(commitment);
      }
    })();
    // Row numbers of what was last may be given again: what is swept next starts below them.
    const top = this.payloads.query<{ n: number | null }, []>("SELECT max(rowid) AS n FROM payloads").get();
    if ((top?.n ?? 0) < this.mark("swept_row")) this.setMark("swept_row", top?.n ?? 0);
    this.payloads.run("PRAGMA wal_checkpoint(TRUNCATE)");
  }

  private remember(seq: number): void {
    const top = this.payloads.query<{ n: number | null }, []>("SELECT max(rowid) AS n FROM payloads").get();
    if ((top?.n ?? 0) === this.mark("swept_row")) return;
    this.payloads.transaction(() => {
      this.setMark("swept_row", top?.n ?? 0);
      this.setMark("swept_seq", seq);
    })();
  }

  private mark(name: "swept_row" | "swept_seq"): number {
    const row = this.payloads
      .query<{ value: unknown }, [string]>("SELECT value FROM meta WHERE name = ?")
      .get(name);
    return row === null ? (name === "swept_seq" ? -1 : 0) : Number(row.value);
  }

  private setMark(name: "swept_row" | "swept_seq", value: number): void {
    this.payloads.query("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)").run(name, String(value));
  }
}
