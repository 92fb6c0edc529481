/** Which signatures of time stamps and certificates count, each by a key that did sign. */
import { expect, test } from "bun:test";
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { identifier, signedBy } from "../../src/ledger/anchor/timestamp/algorithm.ts";
import { DerReader, TAG } from "../../src/ledger/anchor/timestamp/der.ts";
import { oid, sequence, tagged } from "../certificates.ts";

const BYTES = Buffer.from("what was signed");
const element = (der: Buffer) => DerReader.only(der, TAG.sequence);
const algorithm = (id: string, ...parameters: readonly Buffer[]) => element(sequence(oid(id), ...parameters));
const [RSA, ECDSA] = [algorithm("1.2.840.113549.1.1.11", tagged(TAG.null)), algorithm("1.2.840.10045.4.3.2")];
const rsa = (modulusLength: number) => generateKeyPairSync("rsa", { modulusLength });
const ec = (namedCurve: string) => generateKeyPairSync("ec", { namedCurve });

interface Pair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/** Whether a signature by SHA-256 counts. */
function counts(pair: Pair, as = RSA, beside: "sha256" | "sha384" | null = null): boolean {
  const spki = pair.publicKey.export({ format: "der", type: "spki" });
  return signedBy(spki, as, beside, BYTES, sign("sha256", BYTES, pair.privateKey));
}

test("an rsa key of 2048 bits and the curves of NIST count, by what their algorithm is called", () => {
  expect(counts(rsa(2048))).toBe(true);
  expect(counts(rsa(2048), RSA, "sha256")).toBe(true);
  for (const curve of ["P-256", "P-384", "P-521"]) expect(counts(ec(curve), ECDSA)).toBe(true);
  // rsaEncryption leaves the hash to what stands beside it.
  expect(counts(rsa(2048), algorithm("1.2.840.113549.1.1.1"), "sha256")).toBe(true);
});

test.each([
  ["an rsa key of 1024 bits", () => counts(rsa(1024))],
  ["a curve of 112 bits of strength", () => counts(ec("secp224r1"), ECDSA)],
  ["another hash than stands beside it", () => counts(ec("P-256"), ECDSA, "sha384")],
  ["an algorithm of another kind of key", () => counts(ec("P-256"), RSA)],
  ["rsa under the name of ecdsa", () => counts(rsa(2048), ECDSA)],
  ["no hash at all", () => counts(rsa(2048), algorithm("1.2.840.113549.1.1.1"))],
  ["an algorithm that nobody takes", () => counts(ec("P-256"), algorithm("1.2.840.10045.4.1"))],
] as const)("does not count, though the key signed it: %s", (_, counted) => {
  expect(counted()).toBe(false);
});

test("parameters are absent or null, and a null has nothing in it", () => {
  expect(identifier(algorithm("1.2.3", tagged(TAG.null)))).toBe("1.2.3");
  expect(() => identifier(algorithm("1.2.3", tagged(TAG.null, Buffer.of(0))))).toThrow("a null with content");
  expect(() => identifier(algorithm("1.2.3", sequence()))).toThrow("something follows");
});
