/** Why a caller was not recognised. The codes are stable and reach clients. */
export type IdentityCode =
  | "missing_auth_header"
  | "invalid_lease"
  | "lease_expired"
  | "revoked"
  | "invalid_dpop"
  | "replay_detected"
  | "replay_cache_unavailable"
  | "invalid_auth_scheme"
  | "invalid_operator_token"
  | "missing_dpop_header"
  | "key_binding_failed"
  | "identity_unauthenticated"
  | "identity_forbidden"
  | "scope_not_permitted"
  | "invalid_request";

/** Label of the counter of rejected proofs. */
export type ProofRejection =
  | "malformed"
  | "bad_header"
  | "bad_key"
  | "bad_sig"
  | "bad_htm"
  | "bad_htu"
  | "bad_iat"
  | "bad_ath"
  | "replay";

export interface IdentityRefusal {
  readonly ok: false;
  readonly code: IdentityCode;
  readonly status: 400 | 401 | 403 | 503;
  /** Says what was wrong, in our words; never repeats a token, a proof or a secret, so it may be shown. */
  readonly detail: string;
  /** Set when a proof was rejected. */
  readonly rejection: ProofRejection | null;
}

const STATUS: { readonly [code in IdentityCode]: IdentityRefusal["status"] } = {
  missing_auth_header: 401,
  invalid_lease: 401,
  lease_expired: 401,
  revoked: 401,
  invalid_dpop: 401,
  replay_detected: 401,
  replay_cache_unavailable: 503,
  invalid_auth_scheme: 401,
  invalid_operator_token: 401,
  missing_dpop_header: 401,
  key_binding_failed: 401,
  identity_unauthenticated: 401,
  identity_forbidden: 403,
  scope_not_permitted: 403,
  invalid_request: 400,
};

export function refuseIdentity(
  code: IdentityCode,
  detail: string,
  rejection: ProofRejection | null = null,
): IdentityRefusal {
  return { ok: false, code, status: STATUS[code], detail, rejection };
}
