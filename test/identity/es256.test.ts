import { expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { signEs256, verifyEs256 } from "../../src/core/es256.ts";
import { p256FromJson } from "../../src/keys/jwk.ts";
import vectors from "../vectors/wycheproof/ecdsa_secp256r1_sha256_p1363_test.json";

test("wycheproof: every ES256 signature gets the verdict that the vectors give it", () => {
  const verdicts = new Map<string, number>();
  for (const group of vectors.testGroups) {
    const point = Buffer.from(group.publicKey.uncompressed, "hex");
    const [x, y] = [point.subarray(1, 33).toString("base64url"), point.subarray(33).toString("base64url")];
    const read = p256FromJson({ kty: "EC", crv: "P-256", x, y });
    for (const { tcId, msg, sig, result } of group.tests) {
      if (read === null) throw new Error(`the key of test ${tcId} was not read`);
      const accepted = verifyEs256(read.key, Buffer.from(msg, "hex"), Buffer.from(sig, "hex"));
      // The set has no "acceptable" results: with P1363 there is one encoding, and each is right or wrong.
      expect({ tcId, accepted }).toEqual({ tcId, accepted: result === "valid" });
      verdicts.set(result, (verdicts.get(result) ?? 0) + 1);
    }
  }
  expect(Object.fromEntries(verdicts)).toEqual({ valid: 173, invalid: 89 });
});

test("a signature verifies for its key and message only", () => {
  const mine = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const signature = signEs256(mine.privateKey, "message");
  expect(signature).toHaveLength(64);
  expect(verifyEs256(mine.publicKey, "message", signature)).toBe(true);
  expect(verifyEs256(mine.publicKey, "massage", signature)).toBe(false);
  expect(verifyEs256(other.publicKey, "message", signature)).toBe(false);
});

test("a signature by another kind of key is refused, not misread", () => {
  const ed = generateKeyPairSync("ed25519");
  const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" });
  for (const { publicKey } of [ed, p384]) expect(verifyEs256(publicKey, "m", new Uint8Array(64))).toBe(false);
});

test("a point off the curve is not a key", () => {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = publicKey.export({ format: "jwk" });
  const y = Buffer.from(jwk.y ?? "", "base64url");
  y[31] = (y[31] ?? 0) ^ 1;
  expect(p256FromJson(jwk)).not.toBeNull();
  expect(p256FromJson({ ...jwk, y: y.toString("base64url") })).toBeNull();
  const zero = Buffer.alloc(32).toString("base64url");
  expect(p256FromJson({ ...jwk, x: zero, y: zero })).toBeNull();
});
