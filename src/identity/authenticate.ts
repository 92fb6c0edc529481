import type { Clock } from "../core/clock.ts";
import { type PresentedHeaders, readCredentials } from "./credentials.ts";
import { type Proof, type ProofTarget, verifyProof } from "./dpop.ts";
import type { LeaseVerifier } from "./lease.ts";
import type { Lease } from "./lease-claims.ts";
import type { Operator, OperatorDirectory } from "./operators.ts";
import { type IdentityRefusal, refuseIdentity } from "./refusal.ts";
import type { ReplayStore } from "./replay.ts";

/** What of a request speaks for its sender. */
export interface AuthRequest extends PresentedHeaders, ProofTarget {}

interface ProofDeps {
  readonly replay: ReplayStore;
  readonly operators: OperatorDirectory;
  readonly clock: Clock;
}

export interface LeaseAuthDeps extends ProofDeps {
  readonly leases: LeaseVerifier;
  /** Whether the kill switch has reached this lease. Asked on each request. */
  readonly revoked: (lease: Lease) => boolean;
}

export type OperatorAuthDeps = ProofDeps;

export type LeaseAuthentication =
  | { readonly ok: true; readonly lease: Lease; readonly proof: Proof }
  | IdentityRefusal;
export type OperatorAuthentication =
  | { readonly ok: true; readonly operator: Operator; readonly proof: Proof }
  | IdentityRefusal;

/**
 * Recognises an agent by its lease and a proof of the key that the lease is bound to. On success the proof is spent,
 * whatever becomes of the request.
 */
export function authenticateLease(request: AuthRequest, deps: LeaseAuthDeps): LeaseAuthentication {
  const presented = readCredentials(request);
  switch (presented) {
    case "no authorization":
      return refuseIdentity("missing_auth_header", "authorization header missing");
    case "no proof":
      return refuseIdentity("missing_auth_header", "dpop header missing", "malformed");
    case "repeated proof":
      return refuseIdentity("invalid_dpop", "more than one dpop header", "malformed");
    case "repeated authorization":
      return refuseIdentity("invalid_lease", "more than one authorization header");
    case "other scheme":
      return refuseIdentity("invalid_lease", "authorization scheme must be DPoP");
    case "empty token":
      return refuseIdentity("invalid_lease", "authorization carries no token");
  }
  const now = deps.clock.now();
  const verdict = deps.leases.verify(presented.token, now);
  if (!verdict.ok) return verdict;
  const { lease } = verdict;
  // An operator enrolled after this lease was issued, with the agent's key, must not leave one key in both roles.
  if (deps.operators.isOperatorKey(lease.jkt))
    return refuseIdentity("invalid_lease", "the lease is bound to an operator's key");
  const checked = verifyProof({
    ...target(request),
    ...presented,
    expectedThumbprint: lease.jkt,
    now,
    notBefore: deps.replay.since,
  });
  if (!checked.ok) return checked;
  if (deps.revoked(lease)) return refuseIdentity("revoked", "the lease has been revoked");
  return claimed(checked.proof, deps.replay) ?? { ok: true, lease, proof: checked.proof };
}

/**
 * Recognises an operator by token and key. The socket that a request came by proves nothing here: whoever can open
 * the admin socket still needs the operator's key.
 */
export function authenticateOperator(request: AuthRequest, deps: OperatorAuthDeps): OperatorAuthentication {
  const presented = readCredentials(request);
  switch (presented) {
    case "no authorization":
      return refuseIdentity("missing_auth_header", "authorization header missing");
    case "repeated authorization":
      return refuseIdentity("invalid_auth_scheme", "more than one authorization header");
    case "other scheme":
      return refuseIdentity("invalid_auth_scheme", "authorization scheme must be DPoP");
    case "no proof":
      return refuseIdentity("missing_dpop_header", "dpop header missing", "malformed");
    case "repeated proof":
      return refuseIdentity("invalid_dpop", "more than one dpop header", "malformed");
    case "empty token":
      return refuseIdentity("invalid_operator_token", "authorization carries no token");
  }
  const operator = deps.operators.byToken(presented.token);
  if (operator === null) return refuseIdentity("invalid_operator_token", "the token names no operator");
  const checked = verifyProof({
    ...target(request),
    ...presented,
    expectedThumbprint: operator.thumbprint,
    now: deps.clock.now(),
    notBefore: deps.replay.since,
    bindingCode: "key_binding_failed",
  });
  if (!checked.ok) return checked;
  return claimed(checked.proof, deps.replay) ?? { ok: true, operator, proof: checked.proof };
}

function target({ method, path, bases }: ProofTarget): ProofTarget {
  return { method, path, bases };
}

function claimed(proof: Proof, replay: ReplayStore): IdentityRefusal | null {
  switch (replay.claim(proof.jkt, proof.jti)) {
    case "fresh":
      return null;
    case "replayed":
      return refuseIdentity(
        "replay_detected",
        "the proof has been used before; sign one for each request",
        "replay",
      );
    case "full":
      return refuseIdentity("replay_cache_unavailable", "too many proofs to remember; try again in a minute");
  }
}
