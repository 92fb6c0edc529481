import { expect, test } from "bun:test";
import fc from "fast-check";
import { sha256Hex } from "../../src/core/bytes.ts";
import { ProofSet } from "../../src/ledger/verify/proof-set.ts";

test("property: it holds what was added, and nothing else", () => {
  // Few values, many of them alike in their first digits, the zeros that a free slot looks like among them.
  const digest = fc
    .tuple(fc.nat(3), fc.constantFrom(0, 1, 7, 8, 15, 16, 23, 24, 31))
    .map(([value, at]) => `${"0".repeat(at)}${value}`.padEnd(64, "0"));
  fc.assert(
    fc.property(fc.array(digest, { maxLength: 60 }), (digests) => {
      const set = new ProofSet();
      const model = new Set<string>();
      for (const one of digests) {
        expect(set.has(one)).toBe(model.has(one));
        set.add(one);
        model.add(one);
        expect(set.has(one)).toBe(true);
      }
    }),
    { seed: 1 },
  );
});

test("it grows, and keeps what it holds", () => {
  const set = new ProofSet();
  const digests = Array.from({ length: 20_000 }, (_, i) => sha256Hex(String(i)));
  for (const digest of digests) {
    if (set.has(digest)) throw new Error("held before it was added");
    set.add(digest);
  }
  expect(digests.every((digest) => set.has(digest))).toBe(true);
  expect(set.has(sha256Hex("another"))).toBe(false);
});

test("digests that an agent chose to be alike are found as fast as others", () => {
  // All of the same first 24 and last 32 bits of what is kept: in one place, if that were all that decides.
  const set = new ProofSet();
  const digests = Array.from(
    { length: 50_000 },
    (_, i) => `abcdef00${i.toString(16).padStart(8, "0")}${"00".repeat(24)}`,
  );
  for (const digest of digests) set.add(digest);
  expect(digests.every((digest) => set.has(digest))).toBe(true);
});
