import { fromBase64url } from "../core/bytes.ts";
import { isJsonObject, type Json, type JsonObject } from "../core/json.ts";
import { hasExactly } from "./compact-jws.ts";
import { isPrincipalName, isTenantName } from "./names.ts";
import { isScope, MAX_SCOPES } from "./scopes.ts";

/** Longest life of a lease. */
export const MAX_LEASE_SECONDS = 3600;

/** What a verified lease says. */
export interface Lease {
  readonly principal: string;
  readonly tenant: string;
  /** The token's `jti`. */
  readonly leaseId: string;
  readonly sessionId: string;
  readonly scopes: readonly string[];
  /** Revocation epoch at issue. */
  readonly epoch: number;
  /** Calls that the session may make; null for no limit. */
  readonly maxCalls: number | null;
  /** RFC 7638 thumbprint of the key that must sign every proof. */
  readonly jkt: string;
  readonly owner: string | null;
  /** Seconds since the epoch. */
  readonly issuedAt: number;
  /** Seconds since the epoch; the first second in which the lease is no longer good. */
  readonly expiresAt: number;
  /** Thumbprint of the lease key that signed it. */
  readonly kid: string;
}

const CLAIMS = [
  "iss",
  "aud",
  "sub",
  "tenant",
  "iat",
  "nbf",
  "exp",
  "jti",
  "session_id",
  "scope",
  "epoch",
  "budgets",
  "cnf",
] as const;

/** Reads a closed set of claims, all required but `owner`; null when one is missing, foreign or of another type. */
export function leaseFromClaims(
  claims: JsonObject,
  kid: string,
  parties: { readonly issuer: string; readonly audience: string },
): Lease | null {
  const { iss, aud, sub, tenant, iat, nbf, exp, jti, session_id, scope, epoch, budgets, cnf, owner } = claims;
  if (!hasExactly(claims, owner === undefined ? CLAIMS : [...CLAIMS, "owner"])) return null;
  if (iss !== parties.issuer || aud !== parties.audience) return null;
  if (!isPrincipalName(sub) || !isTenantName(tenant) || !isIdentifier(jti) || !isIdentifier(session_id))
    return null;
  if (!isCount(iat) || nbf !== iat || !isCount(exp) || exp <= iat || exp - iat > MAX_LEASE_SECONDS)
    return null;
  if (!isCount(epoch) || !isScopeList(scope)) return null;
  if (!isJsonObject(budgets) || !hasExactly(budgets, ["max_calls"])) return null;
  const maxCalls = budgets.max_calls;
  if (maxCalls !== null && !isCount(maxCalls)) return null;
  if (!isJsonObject(cnf) || !hasExactly(cnf, ["jkt"]) || !isThumbprint(cnf.jkt)) return null;
  if (owner !== undefined && !isIdentifier(owner)) return null;
  return {
    principal: sub,
    tenant,
    leaseId: jti,
    sessionId: session_id,
    scopes: scope,
    epoch,
    maxCalls,
    jkt: cnf.jkt,
    owner: owner ?? null,
    issuedAt: iat,
    expiresAt: exp,
    kid,
  };
}

/** The canonical base64url of a SHA-256. */
export function isThumbprint(value: Json | undefined): value is string {
  return typeof value === "string" && fromBase64url(value)?.length === 32;
}

function isCount(value: Json | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isIdentifier(value: Json | undefined): value is string {
  return typeof value === "string" && /^[\x21-\x7e]{1,256}$/.test(value);
}

function isScopeList(value: Json | undefined): value is readonly string[] {
  return (
    Array.isArray(value) &&
    value.length >= 1 &&
    value.length <= MAX_SCOPES &&
    value.every((item) => typeof item === "string" && isScope(item))
  );
}
