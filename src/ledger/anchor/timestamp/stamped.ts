import { fromBase64url } from "../../../core/bytes.ts";
import { type Anchored, anchoredText } from "../cosignature.ts";
import { certificateDigest, isOf, type TimestampAuthority, tokenOver } from "./authority.ts";
import type { TimestampToken } from "./token.ts";

/** A time stamp that an entry carries, read. */
export interface EntryStamp {
  /** What the gate calls the authority. */
  readonly authority: string;
  readonly token: TimestampToken;
}

/**
 * The time stamps of an entry. Null when one of them does not stamp its checkpoint, is not signed by the certificate
 * that it names and brings, or is of another time; says nothing about whose certificate that is.
 */
export function stampsOf(origin: string, anchored: Anchored): readonly EntryStamp[] | null {
  const text = anchoredText(origin, anchored);
  const stamps: EntryStamp[] = [];
  for (const one of anchored.cosignatures) {
    if (!("token" in one)) continue;
    const der = fromBase64url(one.token);
    const token = der === null ? null : tokenOver(text, der);
    if (token === null || certificateDigest(token.signer) !== one.certificate) return null;
    if (new Date(token.time).toISOString() !== one.time) return null;
    stamps.push({ authority: one.authority, token });
  }
  return stamps;
}

/** Those of these authorities whose time stamp the entry carries, by a chain to the certificates configured for them. */
export function stampedBy(
  origin: string,
  anchored: Anchored,
  authorities: readonly TimestampAuthority[],
): readonly TimestampAuthority[] {
  const stamps = stampsOf(origin, anchored) ?? [];
  return authorities.filter((authority) => stamps.some(({ token }) => isOf(authority, token)));
}
