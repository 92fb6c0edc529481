import { createPublicKey, type KeyObject } from "node:crypto";
import { Point } from "@noble/ed25519";
import { fromBase64url } from "../core/bytes.ts";
import type { Ed25519Jwk } from "./jwk.ts";

/**
 * Strict admission of an Ed25519 public key: 32 bytes, canonical point encoding (RFC 8032 §5.1.3), not of small
 * order (such a key verifies signatures that nobody made). Null when refused.
 */
export function admitEd25519(jwk: Ed25519Jwk): KeyObject | null {
  const bytes = fromBase64url(jwk.x);
  if (bytes?.length !== 32) return null;
  try {
    if (Point.fromBytes(Uint8Array.from(bytes), false).isSmallOrder()) return null;
    return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: jwk.x }, format: "jwk" });
  } catch {
    return null;
  }
}
