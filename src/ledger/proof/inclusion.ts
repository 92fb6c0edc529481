import { nodeHash } from "../tree.ts";
import { rangeHash, type SubtreeHash, splitPoint } from "./hashes.ts";

/** PATH(index, D[size]) of RFC 6962 §2.1.1: the hashes that lead from a leaf to the root, lowest first. */
export function inclusionProof(index: number, size: number, read: SubtreeHash): Uint8Array[] {
  if (!(Number.isSafeInteger(index) && index >= 0 && index < size))
    throw new RangeError("the leaf is not in the tree");
  const path: Uint8Array[] = [];
  let [from, to] = [0, size];
  while (to - from > 1) {
    const middle = from + splitPoint(to - from);
    if (index < middle) {
      path.push(rangeHash(middle, to, read));
      to = middle;
    } else {
      path.push(rangeHash(from, middle, read));
      from = middle;
    }
  }
  return path.reverse();
}

/**
 * Whether the proof leads from the leaf at `index` to the root of a tree of `size` leaves (RFC 9162 §2.1.3.2).
 * An attacker controls every argument but the root and its size.
 */
export function verifyInclusion(
  leaf: Uint8Array,
  index: number,
  size: number,
  proof: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) return false;
  let node = index;
  let last = size - 1;
  let hash = leaf;
  for (const sibling of proof) {
    if (sibling.length !== 32 || last === 0) return false;
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sibling, hash);
      // Levels on which the right edge has no sibling contribute nothing to the path.
      while (node % 2 === 0 && node !== 0) {
        node = Math.floor(node / 2);
        last = Math.floor(last / 2);
      }
    } else hash = nodeHash(hash, sibling);
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && Buffer.from(hash).equals(root);
}
