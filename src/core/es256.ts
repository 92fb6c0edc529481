import { type KeyObject, sign, verify } from "node:crypto";
import { utf8 } from "./bytes.ts";

const SIGNATURE_BYTES = 64;

/** ES256 (RFC 7518 §3.4): ECDSA on P-256 with SHA-256; the signature is r then s, 32 bytes each. */
export function signEs256(key: KeyObject, signingInput: string | Uint8Array): Buffer {
  return sign("sha256", bytesOf(signingInput), { key, dsaEncoding: "ieee-p1363" });
}

/**
 * Whether the signature is the key's over the input. False for a signature that is not exactly 64 bytes, and for
 * r or s outside [1, n-1]. As in JWS, (r, n-s) is as good as (r, s): a signature must not serve as an identity.
 * @param key a P-256 public key; who passes another kind gets false
 */
export function verifyEs256(
  key: KeyObject,
  signingInput: string | Uint8Array,
  signature: Uint8Array,
): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false;
  if (key.asymmetricKeyType !== "ec" || key.asymmetricKeyDetails?.namedCurve !== "prime256v1") return false;
  return verify("sha256", bytesOf(signingInput), { key, dsaEncoding: "ieee-p1363" }, signature);
}

function bytesOf(input: string | Uint8Array): Uint8Array {
  return typeof input === "string" ? utf8(input) : input;
}
