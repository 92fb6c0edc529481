import { expect, test } from "bun:test";
import fc from "fast-check";
import { admitEd25519 } from "../../src/keys/admission.ts";
import { publicJwk } from "../../src/keys/jwk.ts";
import { generateKey } from "../../src/keys/key-file.ts";

const admits = (bytes: Uint8Array): boolean =>
  admitEd25519({ kty: "OKP", crv: "Ed25519", x: Buffer.from(bytes).toString("base64url") }) !== null;

/** The eight points of small order, canonical (RFC 8032 §5.1.2; orders 1, 2, 4, 4, 8, 8, 8, 8). */
const SMALL_ORDER = [
  "0100000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000080",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];

/** Other spellings: y not reduced modulo 2^255 - 19, or the sign of an x that is 0. */
const NOT_CANONICAL = [
  "0100000000000000000000000000000000000000000000000000000000000080",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

test.each(SMALL_ORDER)("the point of small order %s is refused: it verifies what nobody signed", (hex) => {
  expect(admits(Buffer.from(hex, "hex"))).toBe(false);
});

test.each(NOT_CANONICAL)("the encoding %s is refused: another one names the same point", (hex) => {
  expect(admits(Buffer.from(hex, "hex"))).toBe(false);
});

test("keys as they are made are admitted", () => {
  for (let i = 0; i < 20; i++) {
    const jwk = publicJwk(generateKey("ed25519"));
    if (jwk.kty !== "OKP") throw new Error("not an ed25519 key");
    expect(admitEd25519(jwk)).not.toBeNull();
  }
});

test("other lengths, foreign characters, padding and set trailing bits are refused", () => {
  const jwk = publicJwk(generateKey("ed25519"));
  const { x } = jwk;
  const last = x.at(-1) ?? "";
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const sibling = alphabet[alphabet.indexOf(last) ^ 1] ?? "";
  expect(Buffer.from(x.slice(0, -1) + sibling, "base64url")).toEqual(Buffer.from(x, "base64url"));
  for (const wrong of ["", x.slice(1), `${x}AA`, `${x}=`, ` ${x.slice(1)}`, x.slice(0, -1) + sibling])
    expect({ wrong, key: admitEd25519({ kty: "OKP", crv: "Ed25519", x: wrong }) }).toEqual({
      wrong,
      key: null,
    });
});

test("about half of all texts of the right length are no point of the curve, and are refused without an error", () => {
  let refused = 0;
  const property = fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
    if (!admits(bytes)) refused++;
  });
  fc.assert(property, { seed: 1, numRuns: 200 });
  expect(refused).toBeGreaterThan(60);
  expect(refused).toBeLessThan(140);
});
