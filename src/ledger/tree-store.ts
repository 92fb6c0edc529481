import type { Database, Statement } from "bun:sqlite";
import { sha256 } from "../core/bytes.ts";
import { LedgerError } from "./errors.ts";
import { rangeHash, type SubtreeHash } from "./proof/hashes.ts";
import type { TreeNode } from "./tree.ts";

/**
 * The interior nodes of the log's tree, in the table `nodes`, for proofs that cost O(log n). Leaves are the hashes of
 * the entries. All of it follows from the entries: the writer compares it at start, and every proof is verified
 * before it leaves, so a node that somebody changed can spoil a proof and never forge one.
 */
export class TreeStore {
  private readonly insert: Statement;
  private readonly leaf: Statement<{ hash: Uint8Array }, [number]>;
  private readonly node: Statement<{ hash: Uint8Array }, [number, number]>;
  private readonly db: Database;

  constructor(db: Database) {
    this.db = db;
    this.insert = db.query("INSERT INTO nodes (level, idx, hash) VALUES (?, ?, ?)");
    this.leaf = db.query("SELECT hash FROM entries WHERE seq = ?");
    this.node = db.query("SELECT hash FROM nodes WHERE level = ? AND idx = ?");
  }

  /** Inside the transaction that stores the leaf. */
  write(nodes: readonly TreeNode[]): void {
    for (const { level, index, hash } of nodes) this.insert.run(level, index, hash);
  }

  /** Whether a node is stored as it was computed. */
  holds({ level, index, hash }: TreeNode): boolean {
    const row = this.node.get(level, index);
    return row?.hash instanceof Uint8Array && Buffer.from(row.hash).equals(hash);
  }

  /** How many nodes are stored; a tree of n leaves has n less the number of ones in n. */
  count(): number {
    return this.db.query<{ n: number }, []>("SELECT count(*) AS n FROM nodes").get()?.n ?? 0;
  }

  /** For `rangeHash` and the proofs. Throws `ledger_damaged` when the node is not there. */
  readonly read: SubtreeHash = (level, index) => {
    const row = level === 0 ? this.leaf.get(index) : this.node.get(level, index);
    if (row?.hash instanceof Uint8Array && row.hash.length === 32) return row.hash;
    throw new LedgerError("ledger_damaged", `node ${index} of level ${level} of the tree is missing`, {
      hint: "run latchgate verify",
    });
  };

  /** Root of the first `size` leaves. */
  root(size: number): Buffer {
    return size === 0 ? sha256() : Buffer.from(rangeHash(0, size, this.read));
  }
}

/** Interior nodes of a tree of `size` leaves. */
export function interiorNodes(size: number): number {
  let ones = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) ones += rest % 2;
  return size - ones;
}
