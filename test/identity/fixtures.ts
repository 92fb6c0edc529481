import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { sha256, toBase64url } from "../../src/core/bytes.ts";
import type { Clock } from "../../src/core/clock.ts";
import { signEs256 } from "../../src/core/es256.ts";
import { proofBase } from "../../src/identity/htu.ts";
import type { Lease } from "../../src/identity/index.ts";
import { publicJwk, thumbprint } from "../../src/keys/jwk.ts";

/** 2026-01-01T00:00:00.250Z: a moment inside a second, as real ones are. */
export const NOW = 1_767_225_600_250;
export const NOW_SECONDS = Math.floor(NOW / 1000);
export const BASE = proofBase("http://localhost:3000");
export const PATH = "/v1/actions/http_fetch/execute";

export interface TestKey {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly jkt: string;
  readonly jwk: Record<string, unknown>;
}

export function newKey(): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = publicJwk(publicKey);
  return { privateKey, publicKey, jkt: thumbprint(jwk), jwk: { ...jwk } };
}

export function segment(value: unknown): string {
  return toBase64url(JSON.stringify(value));
}

/** A compact JWS over exactly these header and payload texts. */
export function signSegments(header: string, payload: string, key: KeyObject): string {
  return `${header}.${payload}.${toBase64url(signEs256(key, `${header}.${payload}`))}`;
}

export interface ProofParts {
  readonly header?: Record<string, unknown>;
  readonly payload?: Record<string, unknown>;
  readonly signer?: KeyObject;
}

let serial = 0;

/** A proof that is good for POST {@link PATH} at {@link NOW}, but for the parts given. Undefined removes a member. */
export function makeProof(key: TestKey, token: string | null, parts: ProofParts = {}): string {
  const header = { typ: "dpop+jwt", alg: "ES256", jwk: key.jwk, ...parts.header };
  const payload = {
    jti: `jti-${serial++}`,
    htm: "POST",
    htu: `${BASE}${PATH}`,
    iat: NOW_SECONDS,
    ...(token === null ? {} : { ath: sha256(token).toString("base64url") }),
    ...parts.payload,
  };
  return signSegments(segment(header), segment(payload), parts.signer ?? key.privateKey);
}

export function makeLease(jkt: string, changes: Partial<Lease> = {}): Omit<Lease, "kid"> {
  return {
    principal: "uid:1000",
    tenant: "default",
    leaseId: "0190a000-0000-7000-8000-000000000001",
    sessionId: "0190a000-0000-7000-8000-000000000002",
    scopes: ["tools:call"],
    epoch: 0,
    maxCalls: null,
    jkt,
    owner: null,
    issuedAt: NOW_SECONDS,
    expiresAt: NOW_SECONDS + 300,
    ...changes,
  };
}

/** A clock that stands until it is moved; both of its faces move together. */
export class TestClock implements Clock {
  private at: number;
  constructor(start = NOW) {
    this.at = start;
  }
  now(): number {
    return this.at;
  }
  monotonic(): number {
    return this.at - NOW;
  }
  advance(ms: number): void {
    this.at += ms;
  }
}
