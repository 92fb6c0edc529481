/** Roots and proofs against an implementation of RFC 9162 that others wrote: npm's `@transmute/rfc9162`. */
import { expect, test } from "bun:test";
import { RFC9162 } from "@transmute/rfc9162";
import fc from "fast-check";
import { leafHash } from "../../src/ledger/entry/jws.ts";
import { consistencyProof, verifyConsistency } from "../../src/ledger/proof/consistency.ts";
import { rangeHash, type SubtreeHash } from "../../src/ledger/proof/hashes.ts";
import { inclusionProof, verifyInclusion } from "../../src/ledger/proof/inclusion.ts";
import { CompactTree } from "../../src/ledger/tree.ts";

const LARGEST = 2000;
/** What an entry is to a tree: a text. */
const TEXTS = Array.from({ length: LARGEST }, (_, i) => `entry.${i}.text`);
const entries = TEXTS.map((text) => new TextEncoder().encode(text));
const nodes = new Map<string, Uint8Array>();
const whole = new CompactTree();
for (const [i, text] of TEXTS.entries()) {
  nodes.set(`0:${i}`, leafHash(text));
  for (const { level, index, hash } of whole.push(leafHash(text))) nodes.set(`${level}:${index}`, hash);
}
const read: SubtreeHash = (level, index) =>
  nodes.get(`${level}:${index}`) ?? expect.unreachable("no such node");
const rootOf = (size: number) =>
  size === 0 ? new CompactTree().root() : Buffer.from(rangeHash(0, size, read));

const size = fc.oneof(
  fc.integer({ min: 1, max: LARGEST }),
  fc.constantFrom(1, 2, 3, 4, 5, 7, 8, 9, 255, 256, 257, 1023, 1024, 1025, 1999, 2000),
);
const hex = (hashes: readonly Uint8Array[]) => hashes.map((hash) => Buffer.from(hash).toString("hex"));

test("the root of a tree of any size up to 2,000 entries is the same", async () => {
  for (const n of [0, ...fc.sample(size, { seed: 71, numRuns: 60 })])
    expect({ n, root: hex([rootOf(n)]) }).toEqual({ n, root: hex([await RFC9162.MTH(entries.slice(0, n))]) });
}, 60_000);

test("an inclusion proof is the same, and each side takes that of the other", async () => {
  for (const [n, any] of fc.sample(fc.tuple(size, fc.nat(LARGEST - 1)), { seed: 72, numRuns: 30 })) {
    const index = any % n;
    const path = inclusionProof(index, n, read);
    const theirs = await RFC9162.PATH(index, entries.slice(0, n));
    expect(hex(path)).toEqual(hex(theirs));
    expect(verifyInclusion(read(0, index), index, n, theirs, rootOf(n))).toBe(true);
    const told = { log_id: "x", tree_size: n, leaf_index: index, inclusion_path: [...path] };
    expect(await RFC9162.verifyInclusionProof(rootOf(n), read(0, index), told)).toBe(true);
  }
}, 60_000);

test("a consistency proof is the same, and each side takes that of the other", async () => {
  for (const [a, b] of fc.sample(fc.tuple(size, size), { seed: 73, numRuns: 30 })) {
    const [older, newer] = [Math.min(a, b), Math.max(a, b)];
    // RFC 9162 §2.1.4.1 defines none of equal trees.
    if (older === newer) continue;
    const path = consistencyProof(older, newer, read);
    const made = await RFC9162.PROOF(older, entries.slice(0, newer));
    // It leaves the root of the older tree in where that is a whole subtree; §2.1.4.1 leaves it out.
    const known = hex(made)[0] === hex([rootOf(older)])[0];
    const theirs = known ? made.slice(1) : made;
    expect({ older, newer, path: hex(path) }).toEqual({ older, newer, path: hex(theirs) });
    expect(verifyConsistency(older, newer, rootOf(older), rootOf(newer), theirs)).toBe(true);
    const own = known ? [rootOf(older), ...path] : [...path];
    const told = { log_id: "x", tree_size_1: older, tree_size_2: newer, consistency_path: own };
    expect(await RFC9162.verifyConsistencyProof(rootOf(older), rootOf(newer), told)).toBe(true);
  }
}, 60_000);
