import { type IdentityRefusal, refuseIdentity } from "./refusal.ts";

/** Most scopes in one lease. */
export const MAX_SCOPES = 32;

const SCOPE = /^(?=[^:]*:)[a-z][a-z0-9:_-]{2,62}[a-z0-9_-]$/;

/** 4 to 64 characters of `[a-z0-9:_-]`, a letter first, a colon inside and not last: `tools:call`, `audit:read`. */
export function isScope(text: string): boolean {
  return SCOPE.test(text);
}

/**
 * The scopes that a lease gets: what was asked for, narrowed to what the identity may have. Nothing left is a
 * refusal, a part left is not.
 * @param allowed empty for an identity without restriction
 */
export function narrowScopes(
  requested: readonly string[],
  allowed: readonly string[],
): { readonly ok: true; readonly scopes: readonly string[] } | IdentityRefusal {
  if (requested.length > MAX_SCOPES) return refuseIdentity("invalid_request", `at most ${MAX_SCOPES} scopes`);
  if (!requested.every(isScope))
    return refuseIdentity(
      "invalid_request",
      "a scope looks like tools:call, 4 to 64 characters of [a-z0-9:_-]",
    );
  const scopes = [...new Set(requested)].filter((scope) => allowed.length === 0 || allowed.includes(scope));
  if (scopes.length > 0) return { ok: true, scopes };
  return allowed.length === 0
    ? refuseIdentity("invalid_request", "scopes must not be empty")
    : refuseIdentity("scope_not_permitted", "none of the requested scopes is permitted to this identity");
}
