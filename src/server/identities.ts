import type { Config } from "../config/schema.ts";
import { OperatorDirectory, PrincipalDirectory } from "../identity/index.ts";

/** Operators as configuration names them: public thumbprints, never keys. */
export function operatorDirectory(config: Config): OperatorDirectory {
  return new OperatorDirectory(
    Object.entries(config.operators).map(([id, { thumbprint, principals, token_sha256, tenant }]) => ({
      id,
      thumbprint,
      principals,
      ...(token_sha256 === undefined ? {} : { token_sha256 }),
      ...(tenant === undefined ? {} : { tenant }),
    })),
  );
}

/** Accounts as configuration maps them to principals. */
export function principalDirectory(config: Config): PrincipalDirectory {
  return new PrincipalDirectory({
    allow_unmapped: config.identity.allow_unmapped,
    uids: Object.fromEntries(
      Object.entries(config.identity.principals).map(
        ([uid, { tenant, scopes, principal, owner, max_calls }]) => [
          uid,
          {
            tenant,
            scopes,
            ...(principal === undefined ? {} : { principal }),
            ...(owner === undefined ? {} : { owner }),
            ...(max_calls === undefined ? {} : { max_calls }),
          },
        ],
      ),
    ),
  });
}

/** The operator's ceiling for an account's calls per UTC day; null for none. */
export function principalCeiling(config: Config, uid: number | null): number | null {
  return config.identity.principals[String(uid)]?.max_calls_per_day ?? null;
}
