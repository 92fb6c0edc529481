import type { KeyObject } from "node:crypto";
import { equalSecrets, fromBase64url, sha256 } from "../core/bytes.ts";
import { verifyEs256 } from "../core/es256.ts";
import { isJsonObject, type Json, type JsonObject } from "../core/json.ts";
import { p256FromJson, thumbprint } from "../keys/jwk.ts";
import { hasExactly, readCompactJws, readSegment } from "./compact-jws.ts";
import { htuMatches, type ProofBase } from "./htu.ts";
import { type IdentityCode, type IdentityRefusal, type ProofRejection, refuseIdentity } from "./refusal.ts";

/** Longest proof, in characters. */
export const MAX_PROOF_LENGTH = 8192;
/** How old a proof may be, in seconds. */
export const PROOF_MAX_AGE = 60;
/** How far a proof may come from the future, in seconds: clocks differ. */
export const PROOF_CLOCK_SKEW = 5;

const MAX_JTI_LENGTH = 256;

/** The request that a proof must have been made for. */
export interface ProofTarget {
  /** Upper case, as sent. */
  readonly method: string;
  /** As sent, percent-encoded, without query. */
  readonly path: string;
  readonly bases: readonly ProofBase[];
}

export interface ProofCheck extends ProofTarget {
  /** The one DPoP header. An attacker controls it. */
  readonly proof: string;
  /** The access token that the proof must name (`ath`); null where there is none yet, then `ath` must be absent. */
  readonly token: string | null;
  /** Thumbprint of the one key that may have signed. */
  readonly expectedThumbprint: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Seconds since the epoch; older proofs may have been seen before the replay memory began. */
  readonly notBefore?: number;
  /** Code of the refusal when another key signed. */
  readonly bindingCode?: "invalid_dpop" | "key_binding_failed";
}

/** A proof that is good for its request; whether it is used for the first time is the replay store's question. */
export interface Proof {
  readonly jti: string;
  /** Thumbprint of the key that signed. */
  readonly jkt: string;
  /** Seconds since the epoch. */
  readonly iat: number;
  /** The claim `bh`: SHA-256 that the body must have, base64url; null when the proof does not bind the body. */
  readonly bodyHash: string | null;
  readonly token: string | null;
}

export type ProofVerdict = { readonly ok: true; readonly proof: Proof } | IdentityRefusal;

/**
 * Checks a DPoP proof (RFC 9449 §4.3) in this order: header, key binding, signature, payload shape, htm, htu, iat,
 * ath, bh. The header is read in full each time; importing its key costs 4 µs beside a verification of 80 µs, so no
 * cache of keys stands between a proof and its checks.
 */
export function verifyProof(check: ProofCheck): ProofVerdict {
  const jws = readCompactJws(check.proof, MAX_PROOF_LENGTH);
  if (typeof jws === "string") return reject("malformed", `proof ${jws}`);
  const signer = readHeader(jws.header);
  if ("ok" in signer) return signer;
  if (!equalSecrets(signer.jkt, check.expectedThumbprint))
    return reject("bad_key", "the key of the proof is not the one in cnf.jkt", check.bindingCode);
  // Before the payload is even decoded: nothing unsigned is interpreted beyond the header.
  if (!verifyEs256(signer.key, jws.signingInput, jws.signature))
    return reject("bad_sig", "signature verification failed");
  const payload = readSegment(jws.payloadSegment, MAX_PROOF_LENGTH);
  return payload === null
    ? reject("malformed", "payload is not a json object")
    : checkPayload(payload, signer.jkt, check);
}

/** RFC 9449 §4.2: exactly `typ`, `alg` and a public `jwk`; there is no `crit` to obey and no `kid` to follow. */
function readHeader(header: JsonObject): { readonly jkt: string; readonly key: KeyObject } | IdentityRefusal {
  if (header.typ !== "dpop+jwt") return reject("bad_header", "typ must be dpop+jwt");
  if (header.alg !== "ES256") return reject("bad_header", "alg must be ES256");
  if (!isJsonObject(header.jwk)) return reject("bad_header", "jwk is missing from the header");
  if (!hasExactly(header, ["typ", "alg", "jwk"]))
    return reject("bad_header", "header has members beyond typ, alg, jwk");
  const read = hasExactly(header.jwk, ["kty", "crv", "x", "y"]) ? p256FromJson(header.jwk) : null;
  if (read === null) return reject("bad_key", "jwk must be a public p-256 key of exactly kty, crv, x, y");
  return { jkt: thumbprint(read.jwk), key: read.key };
}

function checkPayload(payload: JsonObject, jkt: string, check: ProofCheck): ProofVerdict {
  const { jti, htm, htu, iat, ath, bh } = payload;
  if (typeof jti !== "string" || jti.length < 1 || jti.length > MAX_JTI_LENGTH)
    return reject("malformed", `jti must be a string of 1 to ${MAX_JTI_LENGTH} characters`);
  if (typeof htm !== "string") return reject("malformed", "htm must be a string");
  if (typeof htu !== "string") return reject("malformed", "htu must be a string");
  if (typeof iat !== "number" || !Number.isSafeInteger(iat))
    return reject("malformed", "iat must be an integer");
  if (check.token === null ? ath !== undefined : typeof ath !== "string")
    return reject("malformed", check.token === null ? "ath without a token" : "ath must be a string");
  if (!isBodyHash(bh)) return reject("malformed", "bh must be the base64url of a sha-256");

  if (htm !== check.method) return reject("bad_htm", "htm mismatch");
  if (!htuMatches(htu, check.bases, check.path)) return reject("bad_htu", "htu mismatch");
  const now = Math.floor(check.now / 1000);
  if (iat < now - PROOF_MAX_AGE) return reject("bad_iat", "iat too old");
  if (iat > now + PROOF_CLOCK_SKEW) return reject("bad_iat", "iat too far in future");
  if (check.notBefore !== undefined && iat < check.notBefore)
    return reject("bad_iat", "iat too old: the gate started after it; sign a new proof");
  if (check.token !== null && ath !== sha256(check.token).toString("base64url"))
    return reject("bad_ath", "ath does not match the token");
  return { ok: true, proof: { jti, jkt, iat, bodyHash: bh ?? null, token: check.token } };
}

function isBodyHash(value: Json | undefined): value is string | undefined {
  return value === undefined || (typeof value === "string" && fromBase64url(value)?.length === 32);
}

/** Whether a body is the one that the proof was made for; true when the proof does not bind one. */
export function bodyMatches(proof: Pick<Proof, "bodyHash">, body: Uint8Array): boolean {
  return proof.bodyHash === null || equalSecrets(proof.bodyHash, sha256(body).toString("base64url"));
}

function reject(
  rejection: ProofRejection,
  detail: string,
  code: IdentityCode = "invalid_dpop",
): IdentityRefusal {
  return refuseIdentity(code, detail, rejection);
}
