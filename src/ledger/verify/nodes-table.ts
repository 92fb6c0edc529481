import type { Database } from "bun:sqlite";
import type { TreeNode } from "../tree.ts";
import { hasTable } from "./has-table.ts";

const HASH = 32;
/** Nodes of a level that are compared at once. */
const BATCH = 512;

/** Nodes of one level that follow from the entries, and wait to be compared: the first has index `next`. */
interface Level {
  readonly hashes: Buffer;
  next: number;
  waiting: number;
}

interface Stored {
  readonly n: number;
  readonly hashes: unknown;
}

interface StoredNode {
  readonly idx: unknown;
  readonly hash: unknown;
}

/**
 * Holds the table `nodes` against the nodes that are computed from the entries anyway, level by level and as they
 * come. A missing node is no damage: a cut file loses them with its tail, and proofs from it are refused.
 */
export class NodesTable {
  private readonly db: Database;
  private readonly from: number;
  private readonly there: boolean;
  private readonly levels: Level[] = [];
  /** Stored nodes at places where the tree has one. */
  private placed = 0;
  private changed = 0;

  /** @param from leaves that are not computed; nodes over them alone are not looked at. 0 for all */
  constructor(db: Database, from: number) {
    this.db = db;
    this.from = from;
    this.there = hasTable(db, "nodes");
  }

  /** The nodes that an entry completes. */
  take(completed: readonly TreeNode[]): void {
    if (!this.there) return;
    for (const { level, index, hash } of completed) {
      const at = this.levels[level - 1] ?? { hashes: Buffer.alloc(BATCH * HASH), next: index, waiting: 0 };
      this.levels[level - 1] = at;
      at.hashes.set(hash, at.waiting++ * HASH);
      if (at.waiting === BATCH) this.compare(level, at);
    }
  }

  private compare(level: number, at: Level): void {
    const { next, waiting } = at;
    const computed = at.hashes.subarray(0, waiting * HASH);
    const stored = this.db
      .query<Stored, [number, number, number]>(
        `SELECT count(*) AS n, group_concat(hex(hash), '') AS hashes FROM
           (SELECT hash FROM nodes WHERE level = ? AND idx >= ? AND idx < ? AND typeof(idx) = 'integer'
              AND typeof(hash) = 'blob' ORDER BY idx)`,
      )
      .get(level, next, next + waiting);
    if (stored?.n === waiting && stored.hashes === computed.toString("hex").toUpperCase())
      this.placed += waiting;
    else this.compareEach(level, next, computed);
    at.next += waiting;
    at.waiting = 0;
  }

  private compareEach(level: number, first: number, computed: Buffer): void {
    const count = computed.length / HASH;
    const rows = this.db
      .query<StoredNode, [number, number, number]>(
        "SELECT idx, hash FROM nodes WHERE level = ? AND idx >= ? AND idx < ?",
      )
      .iterate(level, first, first + count);
    for (const { idx, hash } of rows) {
      if (!Number.isInteger(idx)) continue; // at no place of a tree
      const start = (Number(idx) - first) * HASH;
      this.placed++;
      const same = hash instanceof Uint8Array && computed.subarray(start, start + HASH).equals(hash);
      if (!same) this.changed++;
    }
  }

  /** To be asked once, after the last entry. */
  faults(): string[] {
    if (!this.there) return [];
    for (const [i, level] of this.levels.entries()) if (level.waiting > 0) this.compare(i + 1, level);
    // At no place that the tree has, or at one that was taken twice.
    const stray = Math.max(0, this.stored() - this.placed);
    return Array<string>(this.changed + stray).fill(
      "a stored node of the tree does not follow from the entries",
    );
  }

  /** How many nodes are stored, but for those over the leaves that were not computed. */
  private stored(): number {
    if (this.from === 0)
      return this.db.query<{ n: number }, []>("SELECT count(*) AS n FROM nodes").get()?.n ?? 0;
    const count = this.db.query<{ n: number }, [number, number]>(
      "SELECT count(*) AS n FROM nodes WHERE level = ? AND idx >= ?",
    );
    let stored = 0;
    for (let level = 1; level <= this.levels.length; level++)
      stored += count.get(level, Math.floor(this.from / 2 ** level))?.n ?? 0;
    return stored;
  }
}
