import { isAscii } from "node:buffer";
import { type KeyObject, sign, verify } from "node:crypto";
import { decodeBase64url, fromBase64url, sha256 } from "../../core/bytes.ts";
import { canonicalJson } from "../../core/canonical-json.ts";
import type { Json } from "../../core/json.ts";

/** The protected header of an entry: these bytes and no others. */
export function protectedHeader(kid: string): string {
  return `{"alg":"EdDSA","kid":"${kid}","typ":"latchgate-entry+jws"}`;
}

const LEAF_PREFIX = Uint8Array.of(0);
/** For one entry at a time; longer ones than nearly all have go another way. */
const scratch = Buffer.alloc(65_536);

/** RFC 6962 §2.1 leaf hash over the ASCII of the compact JWS, into `into` when given: 32 bytes. */
export function leafHash(jws: string, into: Buffer = Buffer.allocUnsafeSlow(32)): Buffer {
  // A character takes three bytes at most.
  if (3 * jws.length >= scratch.length) {
    into.set(sha256(LEAF_PREFIX, jws));
    return into;
  }
  scratch[0] = 0;
  const length = 1 + scratch.write(jws, 1, "utf8");
  Bun.SHA256.hash(scratch.subarray(0, length), into);
  return into;
}

/** Signs a payload and gives the compact JWS (RFC 7515 §7.1), the record itself. */
export function signEntry(payload: Json, kid: string, key: KeyObject): string {
  const input = `${Buffer.from(protectedHeader(kid)).toString("base64url")}.${Buffer.from(canonicalJson(payload)).toString("base64url")}`;
  return `${input}.${sign(null, Buffer.from(input), key).toString("base64url")}`;
}

export interface OpenedJws {
  readonly kid: string;
  /** The payload text, as signed. */
  readonly payload: string;
  readonly signature: Buffer;
  /** The bytes that the signature covers. */
  readonly input: string;
}

const HEADER = /^\{"alg":"EdDSA","kid":"([A-Za-z0-9_-]{43})","typ":"latchgate-entry\+jws"\}$/;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const headers = new Map<string, string>();

/**
 * Takes a compact JWS apart without believing it: exactly three canonical base64url parts (libraries accept altered
 * trailing bits, which would change the leaf hash under a valid signature), exactly our header. Null when it is not one.
 */
export function openJws(jws: string): OpenedJws | null {
  const first = jws.indexOf(".");
  const second = jws.indexOf(".", first + 1);
  if (first <= 0 || second < 0 || jws.indexOf(".", second + 1) >= 0) return null;
  const kid = kidOf(jws.slice(0, first));
  const payload = kid === null ? null : decodeText(jws.slice(first + 1, second));
  const signature = Buffer.allocUnsafeSlow(64);
  const length = decodeBase64url(jws.slice(second + 1), signature);
  if (kid === null || payload === null || length !== 64) return null;
  return { kid, payload, signature, input: jws.slice(0, second) };
}

/** The UTF-8 text behind canonical base64url; null when it is not that. */
function decodeText(part: string): string | null {
  const length = decodeBase64url(part, scratch);
  const bytes = length === null ? fromBase64url(part) : scratch.subarray(0, length);
  if (bytes === null) return null;
  if (isAscii(bytes)) return bytes.toString("latin1");
  try {
    return decoder.decode(bytes);
  } catch {
    return null;
  }
}

function kidOf(header: string): string | null {
  const known = headers.get(header);
  if (known !== undefined) return known;
  const bytes = fromBase64url(header);
  const kid = bytes === null ? null : (HEADER.exec(bytes.toString("latin1"))?.[1] ?? null);
  if (kid !== null && headers.size < 64) headers.set(header, kid);
  return kid;
}

export function verifyJws({ input, signature }: OpenedJws, key: KeyObject): boolean {
  // What was taken apart is ASCII: as many bytes as characters.
  if (input.length > scratch.length) return verify(null, Buffer.from(input), key, signature);
  return verify(null, scratch.subarray(0, scratch.write(input, 0, "latin1")), key, signature);
}
