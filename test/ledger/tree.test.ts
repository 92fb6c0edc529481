/** RFC 6962 §2.1 against the recursive definition itself. */
import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { leafHash } from "../../src/ledger/entry/jws.ts";
import { CompactTree } from "../../src/ledger/tree.ts";

const sha256 = (...parts: Uint8Array[]) => createHash("sha256").update(Buffer.concat(parts)).digest();

/** MTH(D[n]): the split is at the largest power of two smaller than n. */
function mth(leaves: readonly Uint8Array[]): Buffer {
  const [first] = leaves;
  if (first === undefined) return sha256();
  if (leaves.length === 1) return sha256(Buffer.of(0), first);
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return sha256(Buffer.of(1), mth(leaves.slice(0, k)), mth(leaves.slice(k)));
}

/** The inputs of the reference implementation's own tests (certificate-transparency, merkletree). */
const INPUTS = [
  "",
  "00",
  "10",
  "2021",
  "3031",
  "40414243",
  "5051525354555657",
  "606162636465666768696a6b6c6d6e6f",
];
const ROOTS = [
  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
  "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
  "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

test("the roots that the reference implementation publishes", () => {
  const tree = new CompactTree();
  expect(tree.root().toString("hex")).toBe(
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  );
  for (const [i, input] of INPUTS.entries()) {
    tree.push(sha256(Buffer.of(0), Buffer.from(input, "hex")));
    expect({ size: tree.size, root: tree.root().toString("hex") }).toEqual({
      size: i + 1,
      root: ROOTS[i] ?? "",
    });
  }
});

test("a leaf hash is that of the ascii of the entry behind a zero byte", () => {
  for (const text of ["a.b.c", `${"a".repeat(21_840)}.b.c`, `${"a".repeat(200_000)}.b.c`])
    expect(leafHash(text)).toEqual(sha256(Buffer.of(0), Buffer.from(text, "ascii")));
});

test("the compact tree has the root of the definition at every size", () => {
  const leaves = Array.from({ length: 300 }, (_, i) => Buffer.from(`leaf ${i}`));
  const tree = new CompactTree();
  expect(tree.root()).toEqual(mth([]));
  for (const [i, leaf] of leaves.entries()) {
    tree.push(sha256(Buffer.of(0), leaf));
    expect(tree.root()).toEqual(mth(leaves.slice(0, i + 1)));
  }
});

test("and for any leaves", () => {
  const property = fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 300 }), (leaves) => {
    const tree = new CompactTree();
    for (const leaf of leaves) tree.push(sha256(Buffer.of(0), leaf));
    expect(tree.size).toBe(leaves.length);
    expect(tree.root()).toEqual(mth(leaves));
  });
  fc.assert(property, { seed: 1, numRuns: 60 });
});

test("changing what was pushed afterwards changes nothing", () => {
  const tree = new CompactTree();
  const leaf = sha256(Buffer.from("mutable"));
  tree.push(leaf);
  const before = tree.root().toString("hex");
  leaf.fill(0);
  expect(tree.root().toString("hex")).toBe(before);
});
