import { sha256 } from "../core/bytes.ts";

const NODE_PREFIX = Uint8Array.of(1);
const HASH = 32;
/** For one node at a time: the prefix and two hashes. */
const scratch = Buffer.concat([NODE_PREFIX, Buffer.alloc(2 * HASH)]);

/** RFC 6962 §2.1 interior node. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  // Of what somebody sent; such a node is in no tree.
  if (left.length !== HASH || right.length !== HASH) return sha256(NODE_PREFIX, left, right);
  scratch.set(left, 1);
  scratch.set(right, 1 + HASH);
  const hash = Buffer.allocUnsafeSlow(HASH);
  Bun.SHA256.hash(scratch, hash);
  return hash;
}

/** A complete subtree of 2^level leaves that starts at leaf `index · 2^level`; level 0 are the leaves themselves. */
export interface TreeNode {
  readonly level: number;
  readonly index: number;
  readonly hash: Uint8Array;
}

/**
 * An RFC 6962 tree that keeps only its right edge: the roots of the perfect subtrees that make up the tree, largest
 * first. Adding a leaf costs O(log n) at worst and O(1) on average.
 */
export class CompactTree {
  private readonly subtrees: { readonly height: number; readonly hash: Buffer }[] = [];
  private count = 0;

  /** A tree of that many leaves from its right edge, see {@link edge}. Null when the edge is not of that size. */
  static resume(size: number, edge: readonly Buffer[]): CompactTree | null {
    const tree = new CompactTree();
    const heights: number[] = [];
    for (let height = 0, rest = size; rest > 0; height++, rest = Math.floor(rest / 2))
      if (rest % 2 === 1) heights.unshift(height);
    if (heights.length !== edge.length || edge.some((hash) => hash.length !== 32)) return null;
    for (const [i, height] of heights.entries())
      tree.subtrees.push({ height, hash: edge[i] ?? Buffer.alloc(0) });
    tree.count = size;
    return tree;
  }

  /** The roots of the perfect subtrees, largest first: with the size, all that is needed to go on. */
  get edge(): readonly Buffer[] {
    return this.subtrees.map(({ hash }) => hash);
  }

  get size(): number {
    return this.count;
  }

  /** Adds a leaf. Gives the interior nodes that it completes, lowest first: one per leaf on average. */
  push(leaf: Uint8Array): readonly TreeNode[] {
    const completed: TreeNode[] = [];
    let height = 0;
    let hash: Buffer = Buffer.from(leaf);
    for (;;) {
      const last = this.subtrees.at(-1);
      if (last === undefined || last.height !== height) break;
      this.subtrees.pop();
      hash = nodeHash(last.hash, hash);
      height++;
      completed.push({ level: height, index: Math.floor(this.count / 2 ** height), hash });
    }
    this.subtrees.push({ height, hash });
    this.count++;
    return completed;
  }

  /** MTH of all leaves so far; of the empty list it is SHA-256 of nothing. */
  root(): Buffer {
    let root: Buffer | null = null;
    for (let i = this.subtrees.length - 1; i >= 0; i--) {
      const subtree = this.subtrees[i];
      if (subtree !== undefined) root = root === null ? subtree.hash : nodeHash(subtree.hash, root);
    }
    return root ?? sha256();
  }
}
