/** Roots, proofs and notes against implementations made from RFC 6962 §2.1, RFC 9162 §2.1 and C2SP signed-note alone. */
import { describe, expect, test } from "bun:test";
import { createHash, generateKeyPairSync, verify } from "node:crypto";
import fc from "fast-check";
import { checkpointSignedBy, parseCheckpoint, signCheckpoint } from "../../src/ledger/checkpoint.ts";
import { consistencyProof, verifyConsistency } from "../../src/ledger/proof/consistency.ts";
import type { SubtreeHash } from "../../src/ledger/proof/hashes.ts";
import { inclusionProof, verifyInclusion } from "../../src/ledger/proof/inclusion.ts";
import { CompactTree } from "../../src/ledger/tree.ts";
import { treeRoot } from "./primitives.ts";

const sha = (...parts: (string | Uint8Array)[]) =>
  parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();
const LEAVES = Array.from({ length: 2000 }, (_, i) => sha(Buffer.of(0), `leaf ${i}`));
const leaf = (i: number): Buffer => LEAVES[i] ?? Buffer.alloc(0);

const known = new Map<string, Buffer>();
/** MTH(D[from:to]), as §2.1 of RFC 6962 has it, remembered. */
function mth(from: number, to: number): Buffer {
  const name = `${from}:${to}`;
  const found = known.get(name) ?? treeRoot(LEAVES.slice(from, to));
  known.set(name, found);
  return found;
}
const read: SubtreeHash = (level, index) => mth(index * 2 ** level, (index + 1) * 2 ** level);
const half = (n: number): number => 2 ** Math.ceil(Math.log2(n) - 1);

/** PATH(m, D[from:to]) of RFC 6962 §2.1.1, recursively, with `m` counted from 0. */
function path(m: number, from: number, to: number): Buffer[] {
  if (to - from === 1) return [];
  const k = from + half(to - from);
  return m < k ? [...path(m, from, k), mth(k, to)] : [...path(m, k, to), mth(from, k)];
}

/** SUBPROOF(m, D[from:to], b) of RFC 6962 §2.1.2. */
function subproof(m: number, from: number, to: number, complete: boolean): Buffer[] {
  if (m === to) return complete ? [] : [mth(from, to)];
  const k = from + half(to - from);
  return m <= k
    ? [...subproof(m, from, k, complete), mth(k, to)]
    : [...subproof(m, k, to, false), mth(from, k)];
}

/** Sizes at which the shape of a tree changes, and any others. */
const size = fc.oneof(
  fc.integer({ min: 1, max: 2000 }),
  fc.constantFrom(...[1, 2, 3, 4, 5, 7, 8, 9, 255, 256, 257, 1023, 1024, 1025, 1999, 2000]),
);

const flip = (bytes: Uint8Array, bit: number): Buffer => {
  const flipped = Buffer.from(bytes);
  const at = (bit >> 3) % flipped.length;
  flipped[at] = (flipped[at] ?? 0) ^ (1 << (bit & 7));
  return flipped;
};

/** What an attacker may make of a proof: a bit, one hash more, one fewer, two in each other's place. */
function damaged(proof: readonly Uint8Array[], bit: number): Uint8Array[][] {
  const at = bit % Math.max(1, proof.length);
  const swapped = [
    ...proof.slice(0, at),
    ...proof.slice(at + 1, at + 2),
    ...proof.slice(at, at + 1),
    ...proof.slice(at + 2),
  ];
  const one = proof[at];
  return [
    [...proof, LEAVES[bit % 2000] ?? Buffer.alloc(32)],
    ...(one === undefined
      ? []
      : [proof.map((hash, i) => (i === at ? flip(hash, bit) : hash)), proof.slice(1), proof.slice(0, -1)]),
    ...(swapped[at] === one ? [] : [swapped]),
  ].map((made) => [...made]);
}

describe("trees of 0 to 2,000 leaves", () => {
  test("the compact tree has the root of the recursive definition", () => {
    const tree = new CompactTree();
    const sampled = new Set([0, ...fc.sample(size, { seed: 62, numRuns: 250 })]);
    for (let n = 0; n <= 2000; n++) {
      if (sampled.has(n)) expect({ n, root: tree.root() }).toEqual({ n, root: mth(0, n) });
      tree.push(leaf(n));
    }
  });

  test("each inclusion proof is that of the definition, leads to the root, and leads nowhere else", () => {
    const property = fc.property(size, fc.nat(1999), fc.nat(1999), (n, any, other) => {
      const index = any % n;
      const root = mth(0, n);
      const proof = inclusionProof(index, n, read);
      expect(proof).toEqual(path(index, 0, n));
      expect(verifyInclusion(leaf(index), index, n, proof, root)).toBe(true);
      const wrong = other % n;
      if (wrong !== index) {
        expect(verifyInclusion(leaf(wrong), index, n, proof, root)).toBe(false);
        expect(verifyInclusion(leaf(index), wrong, n, proof, root)).toBe(false);
      }
      for (const made of damaged(proof, other * 7 + any))
        expect(verifyInclusion(leaf(index), index, n, made, root)).toBe(false);
      expect(verifyInclusion(leaf(index), index, n, proof, mth(0, (n % 2000) + 1))).toBe(false);
    });
    fc.assert(property, { seed: 63, numRuns: 400 });
  });

  test("each consistency proof is that of the definition, and holds for these two trees alone", () => {
    const property = fc.property(size, size, fc.nat(1999), (a, b, bit) => {
      const [older, newer] = [Math.min(a, b), Math.max(a, b)];
      const proof = consistencyProof(older, newer, read);
      expect(proof).toEqual(subproof(older, 0, newer, true));
      const [oldRoot, newRoot] = [mth(0, older), mth(0, newer)];
      expect(verifyConsistency(older, newer, oldRoot, newRoot, proof)).toBe(true);
      expect(verifyConsistency(older, newer, flip(oldRoot, bit), newRoot, proof)).toBe(false);
      expect(verifyConsistency(older, newer, oldRoot, flip(newRoot, bit), proof)).toBe(false);
      for (const made of damaged(proof, bit))
        expect(verifyConsistency(older, newer, oldRoot, newRoot, made)).toBe(false);
      if (older !== newer) expect(verifyConsistency(newer, older, newRoot, oldRoot, proof)).toBe(false);
    });
    fc.assert(property, { seed: 64, numRuns: 400 });
  });

  test("a proof holds for no other size that its shape could be told from", () => {
    const property = fc.property(size, fc.nat(1999), (n, any) => {
      const index = any % n;
      const proof = inclusionProof(index, n, read);
      for (const wrong of [n - 1, n + 1, n * 2].filter((s) => s > index && s <= 2000))
        expect(verifyInclusion(leaf(index), index, wrong, proof, mth(0, wrong))).toBe(
          path(index, 0, wrong).length === proof.length && mth(0, wrong).equals(mth(0, n)),
        );
    });
    fc.assert(property, { seed: 65, numRuns: 200 });
  });
});

/** Every pair of a note's signatures by name and blob, read line by line and not by one expression; null when it is none. */
function readNote(note: string): { text: string; signatures: { name: string; blob: Buffer }[] } | null {
  const lines = note.split("\n");
  const blank = lines.indexOf("");
  if (blank < 1 || lines.at(-1) !== "" || lines.length < blank + 3) return null;
  const signatures = lines.slice(blank + 1, -1).map((line) => {
    const [dash, name = "", base64 = "", ...rest] = line.split(" ");
    const blob = Buffer.from(base64, "base64");
    const formed =
      dash === "\u2014" && name !== "" && rest.length === 0 && blob.toString("base64") === base64;
    return formed && blob.length > 4 ? { name, blob } : null;
  });
  if (signatures.some((one) => one === null)) return null;
  return {
    text: `${lines.slice(0, blank).join("\n")}\n`,
    signatures: signatures.flatMap((one) => one ?? []),
  };
}

describe("signed notes", () => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const raw = Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url");

  test("what is written is read by another parser, and verifies there", () => {
    const property = fc.property(
      fc.uuid(),
      fc.nat(),
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      (log, n, root) => {
        const origin = `latchgate/${log}`;
        const note = signCheckpoint({ origin, size: n, root: Buffer.from(root) }, privateKey, raw);
        const other = readNote(note);
        expect(other?.text).toBe(`${origin}\n${n}\n${Buffer.from(root).toString("base64")}\n`);
        const [signature] = other?.signatures ?? [];
        expect(signature?.name).toBe(origin);
        const id = sha(origin, "\n", Buffer.of(1), raw).subarray(0, 4);
        expect(signature?.blob.subarray(0, 4)).toEqual(id);
        const bytes = Buffer.from(other?.text ?? "");
        expect(verify(null, bytes, publicKey, signature?.blob.subarray(4) ?? Buffer.alloc(0))).toBe(true);
      },
    );
    fc.assert(property, { seed: 66, numRuns: 100 });
  });

  test("what one parser takes for a signed checkpoint, altered as you like, the other takes for the same", () => {
    const note = signCheckpoint({ origin: "latchgate/x", size: 7, root: sha("root") }, privateKey, raw);
    const edit = fc.record({
      at: fc.nat(note.length - 1),
      drop: fc.nat(3),
      put: fc.constantFrom("", "\n", " ", "=", "\u2014", "0", "A", "\n\n", "\r", "\u00a0"),
    });
    const property = fc.property(edit, ({ at, drop, put }) => {
      const altered = note.slice(0, at) + put + note.slice(at + drop);
      const [mine, other] = [parseCheckpoint(altered), readNote(altered)];
      if (mine !== null) expect(other).toEqual({ text: mine.text, signatures: [...mine.signatures] });
      // An altered text or signature never verifies; only the note itself does.
      expect(checkpointSignedBy(altered, publicKey, raw)).toBe(altered === note);
    });
    fc.assert(property, { seed: 67, numRuns: 1500 });
  });
});
