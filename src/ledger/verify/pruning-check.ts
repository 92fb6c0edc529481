import type { Database } from "bun:sqlite";
import { commitmentsDigest, namedPayload } from "../entry/commitments.ts";
import type { FollowedEntry } from "../entry/followed.ts";
import { hasTable } from "./has-table.ts";

/** The stored payloads, as far as the verifier needs them. */
export interface StoredPayloads {
  /** Whether the payload is there, and is what the commitment says. */
  holds(commitment: string): boolean;
}

interface Fault {
  /** Null when it is not about one entry. */
  readonly seq: number | null;
  readonly detail: string;
}

type Pruned = Extract<FollowedEntry, { readonly type: "payload.pruned" }>;

/**
 * What stands beside the log about pruning must follow from it: the table of pruned payloads is, entry by entry, the
 * one that the signed digests are of. With the payloads at hand, each one that an entry names is there as the log
 * committed to it, or is in that table.
 */
export class PruningCheck {
  private readonly db: Database;
  private readonly payloads: StoredPayloads | null;
  private readonly hasTable: boolean;
  private readonly from: number;
  private readonly acts: Pruned[] = [];
  private readonly missing: Fault[] = [];

  /** @param from entries before this one are not taken: what they pruned is not looked at */
  constructor(db: Database, payloads: StoredPayloads | null, from = 0) {
    this.db = db;
    this.from = from;
    this.hasTable = hasTable(db, "pruned");
    this.payloads = payloads;
  }

  take(entry: FollowedEntry): void {
    if (entry.type === "payload.pruned") this.acts.push(entry);
    const named = this.payloads === null ? null : namedPayload(entry);
    if (named === null || this.payloads === null || this.isPruned(named.commitment)) return;
    if (this.payloads.holds(named.commitment)) return;
    this.missing.push({
      seq: entry.seq,
      detail: "the payload that the entry names is gone or changed, and no signed act pruned it",
    });
  }

  private isPruned(commitment: string): boolean {
    return (
      this.hasTable && this.db.query("SELECT 1 FROM pruned WHERE commitment = ?").get(commitment) !== null
    );
  }

  /** To be asked once, after the last entry. */
  faults(): readonly Fault[] {
    const faults = [...this.missing];
    let rows = 0;
    for (const act of this.acts) {
      const commitments = this.hasTable ? this.commitmentsOf(act.seq) : [];
      rows += commitments.length;
      if (commitments.length !== act.payloads || commitmentsDigest(commitments) !== act.commitments)
        faults.push({ seq: act.seq, detail: "the table of pruned payloads is not what the entry says" });
    }
    const all = this.hasTable
      ? (this.db
          .query<{ n: number }, [number]>("SELECT count(*) AS n FROM pruned WHERE ?1 = 0 OR seq >= ?1")
          .get(this.from)?.n ?? 0)
      : 0;
    if (all !== rows) faults.push({ seq: null, detail: "a payload is marked as pruned by no entry" });
    return faults;
  }

  private commitmentsOf(seq: number): string[] {
    return this.db
      .query<{ commitment: unknown }, [number]>(
        "SELECT commitment FROM pruned WHERE seq = ? ORDER BY commitment",
      )
      .all(seq)
      .map(({ commitment }) => String(commitment)); // an attacker wrote the file; a text in any case
  }
}
