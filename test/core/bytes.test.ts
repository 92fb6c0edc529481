import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodeBase64url,
  equalSecrets,
  fromBase64,
  fromBase64url,
  sha256Hex,
  toBase64url,
  utf8,
} from "../../src/core/bytes.ts";

test("sha-256 of the empty text and of parts (fips 180-4 examples)", () => {
  expect(sha256Hex()).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  expect(sha256Hex("a", utf8("bc"))).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});

test.each(["a", "ab=", "ab==", "a b", "ab+c", "ab/c", "aB", "AAB", "é", "AA\n"])(
  "base64url %j is refused",
  (text) => {
    expect(fromBase64url(text)).toBeNull();
    expect(decodeBase64url(text, new Uint8Array(64))).toBeNull();
  },
);

test("property: base64url into bytes that are there takes the same texts, and gives the same bytes", () => {
  const characters = fc.constantFrom(..."AQZagwz09+/-_= \n\té");
  fc.assert(
    fc.property(fc.string({ unit: characters, maxLength: 12 }), (text) => {
      const into = new Uint8Array(16);
      const length = decodeBase64url(text, into);
      const bytes = fromBase64url(text);
      expect(length).toBe(bytes?.length ?? null);
      if (bytes !== null) expect(Uint8Array.from(bytes)).toEqual(into.slice(0, bytes.length));
    }),
    { seed: 1, numRuns: 5000 },
  );
  expect(decodeBase64url("AAAA", new Uint8Array(2))).toBeNull();
});

test.each([
  "a",
  "ab",
  "abc",
  "abc-",
  "a===",
  "YQ",
  "YQ=",
  "YR==",
  "YWI",
  "YWJ=",
  "YQ==\n",
  " YQ==",
  "YQ==YQ==",
])("base64 %j is refused", (text) => {
  expect(fromBase64(text)).toBeNull();
});

test("property: both encodings come back, and one text stands for one byte string", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const url = toBase64url(bytes);
      const padded = Buffer.from(bytes).toString("base64");
      expect(Uint8Array.from(fromBase64url(url) ?? [1])).toEqual(bytes);
      expect(Uint8Array.from(fromBase64(padded) ?? [1])).toEqual(bytes);
    }),
    { seed: 1 },
  );
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."AQZaz09+/-_="), maxLength: 8 }), (text) => {
      const url = fromBase64url(text);
      if (url !== null) expect(toBase64url(url)).toBe(text);
      const padded = fromBase64(text);
      if (padded !== null) expect(padded.toString("base64")).toBe(text);
    }),
    { seed: 1, numRuns: 2000 },
  );
});

test("secrets are equal only when all bytes are", () => {
  expect(equalSecrets("abc", utf8("abc"))).toBe(true);
  expect(equalSecrets("abc", "abd")).toBe(false);
  expect(equalSecrets("abc", "abcd")).toBe(false);
  expect(equalSecrets("", "")).toBe(true);
});
