import type { Database } from "bun:sqlite";
import { leafHash } from "../entry/jws.ts";
import { LedgerError } from "../errors.ts";
import { consistencyProof, verifyConsistency } from "../proof/consistency.ts";
import { rangeHash, type SubtreeHash } from "../proof/hashes.ts";
import { inclusionProof, verifyInclusion } from "../proof/inclusion.ts";
import { CompactTree } from "../tree.ts";
import { hasTable } from "./has-table.ts";

/**
 * The entries before a checkpoint whose root the auditor trusts. An attacker wrote the file: a stored node, a leaf, an
 * entry is believed when the trusted root can be computed from it (RFC 6962 §2.1), so that to pass for another it
 * would have to collide. Each costs O(log n), however long the log is.
 */
export class TrustedPrefix {
  readonly size: number;
  private readonly root: Buffer;
  private readonly read: SubtreeHash;

  constructor(db: Database, { size, root }: { readonly size: number; readonly root: Buffer }) {
    this.size = size;
    this.root = root;
    this.read = storedHashes(db);
  }

  /** The tree of all of them, to go on from; null when what is stored does not lead to the root. */
  tree(): CompactTree | null {
    const edge: Buffer[] = [];
    let from = 0;
    for (let level = Math.floor(Math.log2(this.size)); level >= 0; level--) {
      const leaves = 2 ** level;
      if (this.size - from < leaves) continue;
      edge.push(Buffer.from(this.read(level, from / leaves)));
      from += leaves;
    }
    const tree = CompactTree.resume(this.size, edge);
    return tree?.root().equals(this.root) === true ? tree : null;
  }

  /** Whether this text is that of the entry at `seq`. */
  holds(seq: number, jws: string): boolean {
    const proof = inclusionProof(seq, this.size, this.read);
    return verifyInclusion(leafHash(jws), seq, this.size, proof, this.root);
  }

  /** The root of the first `size` of them; null when what is stored does not lead to it. */
  rootAt(size: number): Buffer | null {
    if (size === 0) return new CompactTree().root();
    const root = rangeHash(0, size, this.read);
    const proof = consistencyProof(size, this.size, this.read);
    return verifyConsistency(size, this.size, root, this.root, proof) ? Buffer.from(root) : null;
  }
}

/** Nodes and leaves as they are stored. Throws `ledger_damaged` for one that is not there. */
function storedHashes(db: Database): SubtreeHash {
  interface Row {
    readonly hash: unknown;
  }
  const leaf = db.query<Row, [number]>("SELECT hash FROM entries WHERE seq = ?");
  const node = hasTable(db, "nodes")
    ? db.query<Row, [number, number]>("SELECT hash FROM nodes WHERE level = ? AND idx = ?")
    : null;
  return (level, index) => {
    const hash = (level === 0 ? leaf.get(index) : node?.get(level, index))?.hash;
    if (hash instanceof Uint8Array && hash.length === 32) return hash;
    throw new LedgerError("ledger_damaged", `node ${index} of level ${level} of the tree is not stored`);
  };
}
