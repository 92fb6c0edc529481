import { createPublicKey, type KeyObject } from "node:crypto";
import { fromBase64url, sha256 } from "../core/bytes.ts";

/** Public Ed25519 key (RFC 8037 §2). */
export interface Ed25519Jwk {
  readonly kty: "OKP";
  readonly crv: "Ed25519";
  readonly x: string;
}

/** Public P-256 key (RFC 7518 §6.2.1). */
export interface P256Jwk {
  readonly kty: "EC";
  readonly crv: "P-256";
  readonly x: string;
  readonly y: string;
}

export type PublicJwk = Ed25519Jwk | P256Jwk;

/** RFC 7638 thumbprint: base64url of SHA-256 over the required members in lexicographic order. */
export function thumbprint(jwk: PublicJwk): string {
  const canonical =
    jwk.kty === "OKP"
      ? `{"crv":"${jwk.crv}","kty":"${jwk.kty}","x":"${jwk.x}"}`
      : `{"crv":"${jwk.crv}","kty":"${jwk.kty}","x":"${jwk.x}","y":"${jwk.y}"}`;
  return sha256(canonical).toString("base64url");
}

/**
 * A thumbprint as people see and pass it. The prefix says what it is and keeps one that starts with `-` from being
 * read as a flag.
 */
export function fingerprint(kid: string): string {
  return `SHA256:${kid}`;
}

/** The thumbprint in a fingerprint, with its prefix or without; null for any other text. */
export function readFingerprint(text: string): string | null {
  return /^(?:SHA256:)?([A-Za-z0-9_-]{43})$/.exec(text)?.[1] ?? null;
}

/** The public half of a key as a JWK of its required members alone. Throws on other key types. */
export function publicJwk(key: KeyObject): PublicJwk {
  const jwk = (key.type === "private" ? createPublicKey(key) : key).export({ format: "jwk" });
  if (jwk.kty === "OKP" && jwk.crv === "Ed25519" && jwk.x !== undefined)
    return { kty: "OKP", crv: "Ed25519", x: jwk.x };
  if (jwk.kty === "EC" && jwk.crv === "P-256" && jwk.x !== undefined && jwk.y !== undefined)
    return { kty: "EC", crv: "P-256", x: jwk.x, y: jwk.y };
  throw new TypeError("neither an ed25519 nor a p-256 key");
}

/**
 * Reads a P-256 public key from untrusted JSON: exactly these members matter, both coordinates are 32 bytes of
 * canonical base64url, the point is on the curve (checked by the import). A private member `d` is refused.
 * Null when it is anything else.
 */
export function p256FromJson(value: unknown): { jwk: P256Jwk; key: KeyObject } | null {
  if (typeof value !== "object" || value === null) return null;
  const { kty, crv, x, y, d } = value as Record<string, unknown>;
  if (kty !== "EC" || crv !== "P-256" || typeof x !== "string" || typeof y !== "string" || d !== undefined)
    return null;
  if (fromBase64url(x)?.length !== 32 || fromBase64url(y)?.length !== 32) return null;
  const jwk: P256Jwk = { kty, crv, x, y };
  try {
    return { jwk, key: createPublicKey({ key: { ...jwk }, format: "jwk" }) };
  } catch {
    return null;
  }
}
