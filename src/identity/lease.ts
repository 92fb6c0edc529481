import type { KeyObject } from "node:crypto";
import { toBase64url } from "../core/bytes.ts";
import { LatchGateError } from "../core/errors.ts";
import { signEs256, verifyEs256 } from "../core/es256.ts";
import type { JsonObject } from "../core/json.ts";
import { LruMap } from "../core/lru-map.ts";
import { publicJwk, thumbprint } from "../keys/jwk.ts";
import { hasExactly, readCompactJws, readSegment } from "./compact-jws.ts";
import { type Lease, leaseFromClaims, MAX_LEASE_SECONDS } from "./lease-claims.ts";
import { type IdentityRefusal, refuseIdentity } from "./refusal.ts";

/** Longest lease token, in characters: 32 scopes of 64 characters, doubled, fit. */
export const MAX_TOKEN_LENGTH = 8192;

export interface LeaseSigner {
  /** RFC 7638 thumbprint of the public half. */
  readonly kid: string;
  /** P-256 private key. */
  readonly key: KeyObject;
}

/** A signer whose kid is the thumbprint of its own key. Throws on a key that is not P-256. */
export function leaseSigner(key: KeyObject): LeaseSigner {
  const jwk = publicJwk(key);
  if (jwk.kty !== "EC" || key.type !== "private")
    throw new LatchGateError("lease_key_invalid", "a lease key must be a p-256 private key");
  return { kid: thumbprint(jwk), key };
}

/** Issuer and audience of the tokens; one gate's name for itself. */
export interface LeaseAudience {
  readonly issuer: string;
  readonly audience: string;
}

export const DEFAULT_AUDIENCE: LeaseAudience = { issuer: "latchgate", audience: "latchgate" };

/** Signs a lease as an ES256 JWT. Throws `lease_invalid` for a lease that {@link LeaseVerifier} would not take. */
export function issueLease(
  lease: Omit<Lease, "kid">,
  signer: LeaseSigner,
  parties: LeaseAudience = DEFAULT_AUDIENCE,
): string {
  const claims: JsonObject = {
    iss: parties.issuer,
    aud: parties.audience,
    sub: lease.principal,
    tenant: lease.tenant,
    iat: lease.issuedAt,
    nbf: lease.issuedAt,
    exp: lease.expiresAt,
    jti: lease.leaseId,
    session_id: lease.sessionId,
    scope: lease.scopes,
    epoch: lease.epoch,
    budgets: { max_calls: lease.maxCalls },
    cnf: { jkt: lease.jkt },
    ...(lease.owner === null ? {} : { owner: lease.owner }),
  };
  if (leaseFromClaims(claims, signer.kid, parties) === null)
    throw new LatchGateError(
      "lease_invalid",
      `the lease cannot be issued: check its members, and a lifetime of 1 to ${MAX_LEASE_SECONDS} s`,
    );
  const header = toBase64url(JSON.stringify({ typ: "JWT", alg: "ES256", kid: signer.kid }));
  const signingInput = `${header}.${toBase64url(JSON.stringify(claims))}`;
  const token = `${signingInput}.${toBase64url(signEs256(signer.key, signingInput))}`;
  if (token.length > MAX_TOKEN_LENGTH)
    throw new LatchGateError("lease_invalid", "the lease token is too long");
  return token;
}

/** A public key under which leases are taken. */
export interface LeaseKey {
  /** P-256 public key. */
  readonly key: KeyObject;
  /** Milliseconds since the epoch after which its leases are refused; null for the key in use. */
  readonly notAfter: number | null;
}

export type LeaseVerdict =
  | { readonly ok: true; readonly lease: Lease }
  | (IdentityRefusal & { readonly code: "lease_expired" | "invalid_lease" });

/** Checks lease tokens against a history of keys. Each token's signature is checked once; its times, every time. */
export class LeaseVerifier {
  private keys: ReadonlyMap<string, LeaseKey>;
  private readonly verified: LruMap<string, Lease>;
  private readonly parties: LeaseAudience;

  constructor(
    keys: Iterable<LeaseKey>,
    options: { readonly parties?: LeaseAudience; readonly cached?: number } = {},
  ) {
    this.keys = byKid(keys);
    this.parties = options.parties ?? DEFAULT_AUDIENCE;
    this.verified = new LruMap(options.cached ?? 4096);
  }

  /** Takes another key history. What was verified under the old one is forgotten. */
  replaceKeys(keys: Iterable<LeaseKey>): void {
    this.keys = byKid(keys);
    this.verified.clear();
  }

  /** @param now milliseconds since the epoch; there is no leeway on `nbf` and `exp` */
  verify(token: string, now: number): LeaseVerdict {
    let lease = this.verified.get(token);
    if (lease === undefined) {
      const read = this.read(token);
      if (typeof read === "string") return invalid(read);
      lease = read;
      this.verified.set(token, lease);
    }
    const key = this.keys.get(lease.kid);
    if (key === undefined || (key.notAfter !== null && now > key.notAfter))
      return invalid("lease key retired");
    if (now < lease.issuedAt * 1000) return invalid("lease not yet valid");
    if (now >= lease.expiresAt * 1000)
      return { ...refuseIdentity("lease_expired", "lease expired"), code: "lease_expired" };
    return { ok: true, lease };
  }

  private read(token: string): Lease | string {
    const jws = readCompactJws(token, MAX_TOKEN_LENGTH);
    if (typeof jws === "string") return `lease ${jws}`;
    const { typ, alg, kid } = jws.header;
    // A closed header: `alg` is never a choice of the sender, `crit`, `jwk` and `b64` are never obeyed (RFC 8725 §3.1).
    if (
      !hasExactly(jws.header, ["typ", "alg", "kid"]) ||
      typ !== "JWT" ||
      alg !== "ES256" ||
      typeof kid !== "string"
    )
      return "lease header not as issued";
    const key = this.keys.get(kid);
    if (key === undefined) return "lease signed by an unknown key";
    if (!verifyEs256(key.key, jws.signingInput, jws.signature)) return "lease signature verification failed";
    const claims = readSegment(jws.payloadSegment, MAX_TOKEN_LENGTH);
    return (
      (claims === null ? null : leaseFromClaims(claims, kid, this.parties)) ?? "lease claims not as issued"
    );
  }
}

function invalid(detail: string): LeaseVerdict {
  return { ...refuseIdentity("invalid_lease", detail), code: "invalid_lease" };
}

function byKid(keys: Iterable<LeaseKey>): ReadonlyMap<string, LeaseKey> {
  const map = new Map<string, LeaseKey>();
  for (const entry of keys) {
    const jwk = publicJwk(entry.key);
    if (jwk.kty !== "EC" || entry.key.type !== "public")
      throw new LatchGateError("lease_key_invalid", "a lease verification key must be a p-256 public key");
    map.set(thumbprint(jwk), entry);
  }
  return map;
}
