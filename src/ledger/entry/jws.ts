import { type KeyObject, sign, verify } from "node:crypto";
import { fromBase64url, sha256 } from "../../core/bytes.ts";
import { canonicalJson } from "../../core/canonical-json.ts";
import type { Json } from "../../core/json.ts";

/** The protected header of an entry: these bytes and no others. */
export function protectedHeader(kid: string): string {
  return `{"alg":"EdDSA","kid":"${kid}","typ":"latchgate-entry+jws"}`;
}

const LEAF_PREFIX = Uint8Array.of(0);

/** RFC 6962 §2.1 leaf hash over the ASCII of the compact JWS. */
export function leafHash(jws: string): Buffer {
  return sha256(LEAF_PREFIX, jws);
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
  const payload = fromBase64url(jws.slice(first + 1, second));
  const signature = fromBase64url(jws.slice(second + 1));
  if (kid === null || payload === null || signature?.length !== 64) return null;
  try {
    return { kid, payload: decoder.decode(payload), signature, input: jws.slice(0, second) };
  } catch {
    return null;
  }
}

/** As {@link openJws}, for a text that it has taken apart before, elsewhere: nothing is checked again. */
export function openCheckedJws(jws: string): OpenedJws | null {
  const first = jws.indexOf(".");
  const second = jws.indexOf(".", first + 1);
  const kid = kidOf(jws.slice(0, first));
  if (kid === null) return null;
  const payload = Buffer.from(jws.slice(first + 1, second), "base64url").toString("utf8");
  const signature = Buffer.from(jws.slice(second + 1), "base64url");
  return { kid, payload, signature, input: jws.slice(0, second) };
}

function kidOf(header: string): string | null {
  const known = headers.get(header);
  if (known !== undefined) return known;
  const bytes = fromBase64url(header);
  const kid = bytes === null ? null : (HEADER.exec(bytes.toString("latin1"))?.[1] ?? null);
  if (kid !== null && headers.size < 64) headers.set(header, kid);
  return kid;
}

export function verifyJws(opened: OpenedJws, key: KeyObject): boolean {
  return verify(null, Buffer.from(opened.input), key, opened.signature);
}
