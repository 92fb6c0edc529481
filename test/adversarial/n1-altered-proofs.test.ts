/** N1: altering any one hash of an inclusion or consistency proof is rejected; a proof for another size is rejected. */
import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { consistencyProof, verifyConsistency } from "../../src/ledger/proof/consistency.ts";
import { inclusionProof, verifyInclusion } from "../../src/ledger/proof/inclusion.ts";

const sha256 = (...parts: Uint8Array[]) => createHash("sha256").update(Buffer.concat(parts)).digest();
const LARGEST = 300;
const leaves = Array.from({ length: LARGEST }, (_, i) => sha256(Buffer.from(`leaf ${i}`)));
const leafAt = (index: number): Uint8Array => leaves[index] ?? Buffer.alloc(32);

/** The hash of a range by the definition (RFC 6962 §2.1), sharing nothing with the code under test. */
const known = new Map<string, Buffer>();
function mth(from: number, to: number): Buffer {
  if (to === from) return sha256();
  if (to - from === 1) return Buffer.from(leafAt(from));
  const name = `${from}-${to}`;
  const found = known.get(name);
  if (found !== undefined) return found;
  let k = 1;
  while (k * 2 < to - from) k *= 2;
  const hash = sha256(Buffer.of(1), mth(from, from + k), mth(from + k, to));
  known.set(name, hash);
  return hash;
}
const read = (level: number, index: number) => mth(index * 2 ** level, (index + 1) * 2 ** level);

/** Every proof that differs from this one in one bit of one hash, or in its length by one. */
function* altered(proof: readonly Uint8Array[], seed: number): Generator<readonly Uint8Array[]> {
  for (let i = 0; i < proof.length; i++) {
    const hash = Buffer.from(proof[i] ?? "");
    hash[seed % 32] = (hash[seed % 32] ?? 0) ^ (1 << (seed % 8));
    yield proof.with(i, hash);
    yield proof.with(i, hash.subarray(0, 31));
    yield proof.toSpliced(i, 1);
    if (i > 0) {
      const swapped = proof.with(i, proof[i - 1] ?? hash).with(i - 1, proof[i] ?? hash);
      if (!Buffer.from(proof[i] ?? "").equals(proof[i - 1] ?? hash)) yield swapped;
    }
  }
  yield [...proof, sha256(Buffer.of(seed % 256))];
  yield [sha256(Buffer.of(seed % 256)), ...proof];
}

const size = fc.integer({ min: 1, max: LARGEST });
const seed = fc.nat(1_000_000);
const RUNS = { seed: 1, numRuns: 300 };

describe("inclusion", () => {
  const place = size.chain((n) => fc.tuple(fc.nat(n - 1), fc.constant(n)));

  test("every leaf of every small tree is proven", () => {
    for (let n = 1; n <= 40; n++)
      for (let i = 0; i < n; i++)
        expect(verifyInclusion(leafAt(i), i, n, inclusionProof(i, n, read), mth(0, n))).toBe(true);
  });

  test("one altered, missing, exchanged or added hash is rejected", () => {
    const property = fc.property(place, seed, ([index, n], salt) => {
      const proof = inclusionProof(index, n, read);
      expect(verifyInclusion(leafAt(index), index, n, proof, mth(0, n))).toBe(true);
      for (const other of altered(proof, salt))
        expect(verifyInclusion(leafAt(index), index, n, other, mth(0, n))).toBe(false);
    });
    fc.assert(property, RUNS);
  });

  test("a proof for another size is rejected, against either root", () => {
    const property = fc.property(place, size, ([index, n], m) => {
      fc.pre(m !== n && index < m);
      const proof = inclusionProof(index, n, read);
      expect(verifyInclusion(leafAt(index), index, n, proof, mth(0, m))).toBe(false);
      // Against its own root another size can only stand where it leads through the very same hashes.
      const same = verifyInclusion(leafAt(index), index, m, proof, mth(0, n));
      const path = inclusionProof(index, m, read);
      if (path.length !== proof.length) expect(same).toBe(false);
      expect(verifyInclusion(leafAt(index), index, m, proof, mth(0, m))).toBe(false);
    });
    fc.assert(property, RUNS);
  });

  test("another leaf, and the leaf at another place, are rejected", () => {
    const property = fc.property(place, fc.nat(LARGEST - 1), ([index, n], other) => {
      fc.pre(other !== index);
      const proof = inclusionProof(index, n, read);
      expect(verifyInclusion(leafAt(other), index, n, proof, mth(0, n))).toBe(false);
      expect(verifyInclusion(leafAt(index), other, n, proof, mth(0, n))).toBe(false);
    });
    fc.assert(property, RUNS);
  });

  test("places that are none are rejected", () => {
    const proof = inclusionProof(3, 8, read);
    for (const [index, n] of [
      [-1, 8],
      [8, 8],
      [3.5, 8],
      [3, 8.5],
      [Number.NaN, 8],
      [3, Number.POSITIVE_INFINITY],
      [3, 0],
    ] as const)
      expect(verifyInclusion(leafAt(3), index, n, proof, mth(0, 8))).toBe(false);
  });
});

describe("consistency", () => {
  const pair = fc.integer({ min: 0, max: LARGEST }).chain((n) => fc.tuple(fc.nat(n), fc.constant(n)));

  test("every pair of small trees is proven", () => {
    for (let n = 0; n <= 40; n++)
      for (let m = 0; m <= n; m++)
        expect(verifyConsistency(m, n, mth(0, m), mth(0, n), consistencyProof(m, n, read))).toBe(true);
  });

  test("one altered, missing, exchanged or added hash is rejected", () => {
    const property = fc.property(pair, seed, ([older, newer], salt) => {
      const proof = consistencyProof(older, newer, read);
      expect(verifyConsistency(older, newer, mth(0, older), mth(0, newer), proof)).toBe(true);
      for (const other of altered(proof, salt))
        expect(verifyConsistency(older, newer, mth(0, older), mth(0, newer), other)).toBe(false);
    });
    fc.assert(property, RUNS);
  });

  test("a proof for another older or newer size is rejected", () => {
    const property = fc.property(pair, fc.integer({ min: 1, max: LARGEST }), ([older, newer], other) => {
      fc.pre(older > 0 && older < newer);
      const proof = consistencyProof(older, newer, read);
      if (other !== older && other <= newer)
        expect(verifyConsistency(other, newer, mth(0, other), mth(0, newer), proof)).toBe(false);
      if (other !== newer && other >= older)
        expect(verifyConsistency(older, other, mth(0, older), mth(0, other), proof)).toBe(false);
    });
    fc.assert(property, RUNS);
  });

  test("roots that are not those of the sizes are rejected: a fork, and a rollback", () => {
    const property = fc.property(pair, seed, ([older, newer], salt) => {
      fc.pre(older > 0);
      const proof = consistencyProof(older, newer, read);
      const forged = sha256(Buffer.from(`fork ${salt}`));
      expect(verifyConsistency(older, newer, forged, mth(0, newer), proof)).toBe(false);
      expect(verifyConsistency(older, newer, mth(0, older), forged, proof)).toBe(false);
      if (older < newer)
        expect(verifyConsistency(newer, older, mth(0, newer), mth(0, older), proof)).toBe(false);
    });
    fc.assert(property, RUNS);
  });
});

/** Whoever also chooses the roots makes them fit: then the shape of a proof alone tells that it is none of these sizes. */
describe("a proof whose roots were made to fit it", () => {
  const [a, b, c, d] = [1, 2, 3, 4].map(leafAt) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  const nodeHash = (left: Uint8Array, right: Uint8Array) => sha256(Buffer.of(1), left, right);

  test("inclusion: too long, too short, or with a hash of another length is rejected", () => {
    expect(verifyInclusion(a, 0, 2, [b], nodeHash(a, b))).toBe(true);
    expect(verifyInclusion(a, 0, 1, [b], nodeHash(b, a))).toBe(false);
    expect(verifyInclusion(a, 0, 2, [b, c], nodeHash(nodeHash(a, b), c))).toBe(false);
    expect(verifyInclusion(a, 0, 4, [b], nodeHash(a, b))).toBe(false);
    for (const wrong of [b.subarray(1), Buffer.concat([b, Buffer.of(0)]), Buffer.of()])
      expect(verifyInclusion(a, 0, 2, [wrong], nodeHash(a, wrong))).toBe(false);
    expect(verifyInclusion(a, 1, 1, [], a)).toBe(false);
    expect(verifyInclusion(a, 0.5, 1, [], a)).toBe(false);
    expect(verifyInclusion(a, 0, 1.5, [], a)).toBe(false);
  });

  test("consistency: too long, too short, or with a hash of another length is rejected", () => {
    const [old, grown] = [nodeHash(b, a), nodeHash(b, nodeHash(a, c))];
    expect(verifyConsistency(3, 4, old, grown, [a, c, b])).toBe(true);
    expect(verifyConsistency(3, 4, nodeHash(d, old), nodeHash(d, grown), [a, c, b, d])).toBe(false);
    expect(verifyConsistency(4, 8, a, a, [])).toBe(false);
    expect(verifyConsistency(2, 8, a, nodeHash(a, b), [b])).toBe(false);
    for (const wrong of [b.subarray(1), Buffer.concat([b, Buffer.of(0)]), Buffer.of()])
      expect(verifyConsistency(2, 3, a, nodeHash(a, wrong), [wrong])).toBe(false);
    expect(verifyConsistency(2, 3, a, nodeHash(a, b), [b])).toBe(true);
    expect(verifyConsistency(4, 2, a, nodeHash(a, b), [b])).toBe(false);
    expect(verifyConsistency(2, 2, a, a, [b])).toBe(false);
    expect(verifyConsistency(2, 2, a, b, [])).toBe(false);
    expect(verifyConsistency(0, 2, a, b, [b])).toBe(false);
    expect(verifyConsistency(-1, 2, a, b, [])).toBe(false);
    expect(verifyConsistency(1.5, 3, a, nodeHash(a, b), [b])).toBe(false);
    expect(verifyConsistency(2, 2.5, a, nodeHash(a, b), [b])).toBe(false);
  });
});
