import { createPublicKey, type KeyObject, randomUUID } from "node:crypto";
import { sha256, toBase64url } from "../core/bytes.ts";
import { signEs256 } from "../core/es256.ts";
import type { JsonObject } from "../core/json.ts";
import { type P256Jwk, publicJwk, thumbprint } from "../keys/jwk.ts";
import { ClientError } from "./errors.ts";

/** A P-256 key that a lease or an operator's token is bound to. */
export interface SenderKey {
  readonly privateKey: KeyObject;
  readonly jwk: P256Jwk;
  /** RFC 7638 thumbprint. */
  readonly jkt: string;
}

/** @param name says whose key it is in the error; throws {@link ClientError} `operator_key` for other key types */
export function senderKey(privateKey: KeyObject, name: string): SenderKey {
  if (privateKey.asymmetricKeyType === "ec") {
    const jwk = publicJwkOf(privateKey);
    if (jwk !== null) return { privateKey, jwk, jkt: thumbprint(jwk) };
  }
  throw new ClientError("operator_key", `${name} is not a p-256 key`, {
    hint: "make one with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
  });
}

function publicJwkOf(privateKey: KeyObject): P256Jwk | null {
  if (createPublicKey(privateKey).asymmetricKeyDetails?.namedCurve !== "prime256v1") return null;
  const jwk = publicJwk(privateKey);
  return jwk.kty === "EC" ? jwk : null;
}

export interface ProofRequest {
  readonly method: string;
  /** Target URL without query and fragment. */
  readonly url: string;
  /** What goes with it in the Authorization header. */
  readonly token: string;
  readonly body: Uint8Array | null;
  /** Milliseconds. */
  readonly now: number;
  readonly jti?: string;
}

/**
 * A DPoP proof (RFC 9449 §4.2) with `ath` (§4.2) and, for a request with a body, `bh`: base64url SHA-256 of that
 * body, so that a proof taken off the wire serves for no other parameters.
 */
export function dpopProof(key: SenderKey, request: ProofRequest): string {
  const { kty, crv, x, y } = key.jwk;
  return signCompact(
    key,
    { typ: "dpop+jwt", alg: "ES256", jwk: { kty, crv, x, y } },
    {
      jti: request.jti ?? randomUUID(),
      htm: request.method,
      htu: request.url,
      iat: Math.floor(request.now / 1000),
      ath: toBase64url(sha256(request.token)),
      ...(request.body === null ? {} : { bh: toBase64url(sha256(request.body)) }),
    },
  );
}

/** A compact ES256 JWS (RFC 7515 §7.1) over JSON. */
export function signCompact(key: SenderKey, header: JsonObject, payload: JsonObject): string {
  const input = `${toBase64url(JSON.stringify(header))}.${toBase64url(JSON.stringify(payload))}`;
  return `${input}.${toBase64url(signEs256(key.privateKey, input))}`;
}
