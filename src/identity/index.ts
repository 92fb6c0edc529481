export {
  type AuthRequest,
  authenticateLease,
  authenticateOperator,
  type LeaseAuthDeps,
  type LeaseAuthentication,
  type OperatorAuthDeps,
  type OperatorAuthentication,
} from "./authenticate.ts";
export { bodyMatches, type Proof, type ProofCheck, type ProofVerdict, verifyProof } from "./dpop.ts";
export { type ProofBase, proofBase } from "./htu.ts";
export {
  issueLease,
  type LeaseKey,
  type LeaseSigner,
  type LeaseVerdict,
  LeaseVerifier,
  leaseSigner,
} from "./lease.ts";
export { type Lease, MAX_LEASE_SECONDS } from "./lease-claims.ts";
export { DEFAULT_TENANT, isOperatorId, isPrincipalName, isTenantName } from "./names.ts";
export { type Operator, type OperatorConfig, OperatorDirectory } from "./operators.ts";
export { openPeerReader, type PeerCredentials, PeerCredentialsError, type PeerReader } from "./peercred.ts";
export {
  type PeerIdentity,
  type PrincipalConfig,
  PrincipalDirectory,
  type PrincipalsConfig,
} from "./principals.ts";
export { type IdentityCode, type IdentityRefusal, type ProofRejection, refuseIdentity } from "./refusal.ts";
export { REPLAY_LIMITS, type ReplayLimits, ReplayStore, type ReplayVerdict } from "./replay.ts";
export { isScope, MAX_SCOPES, narrowScopes } from "./scopes.ts";
