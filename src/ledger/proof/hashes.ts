import { nodeHash } from "../tree.ts";

/** The hash of the complete subtree of 2^level leaves that starts at leaf `index · 2^level`. */
export type SubtreeHash = (level: number, index: number) => Uint8Array;

/** The largest power of two smaller than `n`; `n` is at least 2. */
export function splitPoint(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

/** MTH of the leaves from `from` to before `to` (RFC 6962 §2.1), from complete subtrees. `to` is beyond `from`. */
export function rangeHash(from: number, to: number, read: SubtreeHash): Uint8Array {
  const size = to - from;
  if (Number.isInteger(Math.log2(size)) && from % size === 0) return read(Math.log2(size), from / size);
  const k = splitPoint(size);
  return nodeHash(rangeHash(from, from + k, read), rangeHash(from + k, to, read));
}
