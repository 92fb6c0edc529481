const PRINCIPAL = /^[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,252}$/;
const TENANT = /^[a-z0-9][a-z0-9_-]{0,63}$/;
const OPERATOR = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$/;

/** 1 to 253 characters; never `*`, which policy reserves for everyone. */
export function isPrincipalName(value: unknown): value is string {
  return typeof value === "string" && PRINCIPAL.test(value);
}

/** 1 to 64 lower-case characters. */
export function isTenantName(value: unknown): value is string {
  return typeof value === "string" && TENANT.test(value);
}

/** 1 to 128 characters. */
export function isOperatorId(value: unknown): value is string {
  return typeof value === "string" && OPERATOR.test(value);
}

/** Tenant of those whose configuration names none. */
export const DEFAULT_TENANT = "default";
