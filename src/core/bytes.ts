import { createHash, timingSafeEqual } from "node:crypto";

export function utf8(text: string): Uint8Array {
  return Buffer.from(text, "utf8");
}

/** SHA-256 over the parts, one after the other. */
export function sha256(...parts: (string | Uint8Array)[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

export function sha256Hex(...parts: (string | Uint8Array)[]): string {
  return sha256(...parts).toString("hex");
}

export function toBase64url(bytes: Uint8Array | string): string {
  return Buffer.from(bytes as Uint8Array).toString("base64url");
}

const BASE64URL = /^[A-Za-z0-9_-]*$/;

/**
 * Strict unpadded base64url (RFC 7515 §2): foreign characters, padding and non-zero trailing bits give null.
 * Two texts never decode to the same bytes.
 */
export function fromBase64url(text: string): Buffer | null {
  if (!BASE64URL.test(text) || !endsCanonically(text)) return null;
  return Buffer.from(text, "base64url");
}

/** The last character carries bits that no byte has: zero, or two texts would decode to the same bytes. */
function endsCanonically(text: string): boolean {
  const over = text.length % 4;
  if (over === 0) return true;
  return over !== 1 && (over === 2 ? "AQgw" : "AEIMQUYcgkosw048").includes(text.slice(-1));
}

const URL_ALPHABET = { alphabet: "base64url" } as const;

/**
 * As {@link fromBase64url}, into bytes that are there already: gives how many it wrote. Null for the same texts, and
 * when there is no room.
 */
export function decodeBase64url(text: string, into: Uint8Array): number | null {
  const length = Math.floor((text.length * 3) / 4);
  if (length > into.length || !endsCanonically(text)) return null;
  try {
    // It passes over white space and stops at padding: then it writes less than that many characters hold.
    return into.setFromBase64(text, URL_ALPHABET).written === length ? length : null;
  } catch {
    return null; // a foreign character
  }
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Strict padded base64 (RFC 4648 §4); null for any other text. */
export function fromBase64(text: string): Buffer | null {
  if (!BASE64.test(text)) return null;
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : null;
}

/** Compares secrets without telling by time where they differ; lengths may leak. */
export function equalSecrets(a: string | Uint8Array, b: string | Uint8Array): boolean {
  const left = Buffer.from(a as Uint8Array);
  const right = Buffer.from(b as Uint8Array);
  return left.length === right.length && timingSafeEqual(left, right);
}
