import { type KeyObject, sign, verify } from "node:crypto";
import { fromBase64url } from "../core/bytes.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import type { RotatablePurpose } from "./history.ts";
import { publicJwk, thumbprint } from "./jwk.ts";

/** What the holder of the recovery key says: this key's word stands up to this tree of the log, and no further. */
export interface RevocationClaims {
  readonly log: string;
  readonly purpose: RotatablePurpose;
  readonly kid: string;
  readonly size: number;
  /** Hex RFC 6962 root of the tree of `size` entries. */
  readonly root: string;
  /** Thumbprint of the one key that may take over; null when none does. A statement brings in no other. */
  readonly successor: string | null;
  /** RFC 3339, milliseconds. */
  readonly time: string;
}

/** The protected header of a statement: these bytes and no others. Its type keeps it from passing for an entry. */
function header(kid: string): string {
  return `{"alg":"EdDSA","kid":"${kid}","typ":"latchgate-key-revocation+jws"}`;
}

function claimsText(claims: RevocationClaims): string {
  const { log, purpose, kid, size, root, successor, time } = claims;
  return canonicalJson({ v: 1, log, purpose, kid, size, root, successor, time });
}

const encode = (text: string) => Buffer.from(text).toString("base64url");

/** Signs a statement with the recovery key, as a compact JWS (RFC 7515 §7.1). */
export function signRevocation(claims: RevocationClaims, recovery: KeyObject): string {
  const input = `${encode(header(thumbprint(publicJwk(recovery))))}.${encode(claimsText(claims))}`;
  return `${input}.${sign(null, Buffer.from(input), recovery).toString("base64url")}`;
}

/**
 * Reads a statement: our header, canonical claims and nothing beside them, signed by this recovery key. Null when it is
 * anything else. An attacker controls it.
 */
export function readRevocation(
  jws: string,
  recovery: { readonly kid: string; readonly key: KeyObject },
): RevocationClaims | null {
  const [head = "", body = "", signature = "", ...rest] = jws.split(".");
  if (rest.length > 0 || head !== encode(header(recovery.kid))) return null;
  const bytes = fromBase64url(signature);
  if (bytes?.length !== 64 || !verify(null, Buffer.from(`${head}.${body}`), recovery.key, bytes)) return null;
  try {
    const claims = JSON.parse(Buffer.from(body, "base64url").toString()) as RevocationClaims; // signed; compared below
    return encode(claimsText(claims)) === body ? claims : null;
  } catch {
    return null;
  }
}
