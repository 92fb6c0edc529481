import { nodeHash } from "../tree.ts";
import { rangeHash, type SubtreeHash, splitPoint } from "./hashes.ts";

/** PROOF(older, D[newer]) of RFC 6962 §2.1.2; empty when the sizes are equal or the older tree is empty. */
export function consistencyProof(older: number, newer: number, read: SubtreeHash): Uint8Array[] {
  if (!(Number.isSafeInteger(older) && older >= 0 && older <= newer))
    throw new RangeError("the older tree is larger");
  if (older === 0 || older === newer) return [];
  const path: Uint8Array[] = [];
  let [from, to, complete] = [0, newer, true];
  while (older !== to) {
    const middle = from + splitPoint(to - from);
    if (older <= middle) {
      path.push(rangeHash(middle, to, read));
      to = middle;
    } else {
      path.push(rangeHash(from, middle, read));
      from = middle;
      complete = false;
    }
  }
  // The older tree as a whole is known to the verifier; a part of it is not.
  if (!complete) path.push(rangeHash(from, to, read));
  return path.reverse();
}

/**
 * Whether the tree of `newer` leaves extends the one of `older` leaves (RFC 9162 §2.1.4.2).
 * An attacker controls the proof and the newer root.
 */
export function verifyConsistency(
  older: number,
  newer: number,
  olderRoot: Uint8Array,
  newerRoot: Uint8Array,
  proof: readonly Uint8Array[],
): boolean {
  if (!Number.isSafeInteger(older) || !Number.isSafeInteger(newer) || older < 0 || older > newer)
    return false;
  if (older === newer) return proof.length === 0 && Buffer.from(olderRoot).equals(newerRoot);
  if (older === 0) return proof.length === 0;
  const path = Number.isInteger(Math.log2(older)) ? [olderRoot, ...proof] : [...proof];
  const [first, ...rest] = path;
  if (first === undefined || path.some((hash) => hash.length !== 32)) return false;
  let node = older - 1;
  let last = newer - 1;
  while (node % 2 === 1) {
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  let [oldHash, newHash] = [first, first];
  for (const sibling of rest) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      oldHash = nodeHash(sibling, oldHash);
      newHash = nodeHash(sibling, newHash);
      while (node % 2 === 0 && node !== 0) {
        node = Math.floor(node / 2);
        last = Math.floor(last / 2);
      }
    } else newHash = nodeHash(newHash, sibling);
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && Buffer.from(oldHash).equals(olderRoot) && Buffer.from(newHash).equals(newerRoot);
}
