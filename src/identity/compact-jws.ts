import { fromBase64url } from "../core/bytes.ts";
import { isJsonObject, type JsonObject, parseJson } from "../core/json.ts";

/** A JWS in compact serialisation (RFC 7515 §7.1), its header read, its payload not yet. */
export interface CompactJws {
  readonly header: JsonObject;
  /** What the signature covers: the first two segments as sent. */
  readonly signingInput: string;
  readonly payloadSegment: string;
  readonly signature: Uint8Array;
}

export type CompactJwsFault =
  | "too long"
  | "not three segments"
  | "header unreadable"
  | "signature unreadable";

const SEGMENT_DEPTH = 4;

/**
 * Splits and reads header and signature; a string answer says what is wrong. Every segment is canonical base64url,
 * so no two texts mean the same token. An attacker controls the text.
 * @param longest in characters
 */
export function readCompactJws(text: string, longest: number): CompactJws | CompactJwsFault {
  if (text.length > longest) return "too long";
  const first = text.indexOf(".");
  const second = text.indexOf(".", first + 1);
  if (first < 1 || second < 0 || text.indexOf(".", second + 1) >= 0) return "not three segments";
  const header = readSegment(text.slice(0, first), longest);
  if (header === null) return "header unreadable";
  const signature = fromBase64url(text.slice(second + 1));
  if (signature === null) return "signature unreadable";
  return {
    header,
    signingInput: text.slice(0, second),
    payloadSegment: text.slice(first + 1, second),
    signature,
  };
}

/** The JSON object in one segment: strict base64url, strict JSON without duplicates; null for anything else. */
export function readSegment(segment: string, longest: number): JsonObject | null {
  const bytes = fromBase64url(segment);
  if (bytes === null) return null;
  try {
    const value = parseJson(bytes, { bytes: longest, depth: SEGMENT_DEPTH });
    return isJsonObject(value) ? value : null;
  } catch {
    return null;
  }
}

/** Whether an object has exactly these members and no others. */
export function hasExactly(object: JsonObject, names: readonly string[]): boolean {
  return Object.keys(object).length === names.length && names.every((name) => Object.hasOwn(object, name));
}
