import type { Config } from "../config/schema.ts";

/** The operator's ceiling for an account's calls per UTC day; null for none. */
export function principalCeiling(config: Config, uid: number | null): number | null {
  return config.identity.principals[String(uid)]?.max_calls_per_day ?? null;
}
