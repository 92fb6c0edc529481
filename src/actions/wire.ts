import type { Json, JsonObject } from "../core/json.ts";
import type { Manifest } from "./manifest-schema.ts";
import { egressHosts } from "./target-rules.ts";

/** One row of the action list. The first three members are those that published clients read. */
export function summaryRow(manifest: Manifest): JsonObject {
  return {
    action_id: manifest.id,
    version: manifest.version,
    risk_level: manifest.risk.level,
    summary: manifest.summary,
    tags: manifest.tags,
  };
}

/** One action in full. `egress` answers both forms that clients expect: nested, and flat with a profile. */
export function actionDetail(manifest: Manifest, digest: string): JsonObject {
  const { limits } = manifest;
  return {
    action_id: manifest.id,
    version: manifest.version,
    provider_module_digest: manifest.provider,
    risk_level: manifest.risk.level,
    resource_limits: {
      fuel: limits.fuel,
      memory_mb: limits.memory_mb,
      timeout_seconds: limits.timeout_s,
      max_io_calls: limits.io_calls,
      max_host_response_bytes: limits.response_kb * 1024,
    },
    io: {
      max_request_bytes: limits.request_kb * 1024,
      max_response_bytes: limits.response_kb * 1024,
      has_request_schema: true,
      has_response_schema: manifest.response.schema !== undefined,
    },
    egress: egressDetail(manifest),
    ...(manifest.envelope === undefined ? {} : { envelope: manifest.envelope }),
    secrets: manifest.auth.map(({ secret, hosts, required }) => ({ name: secret, required, hosts })),
    declared_side_effects: manifest.effects,
    summary: manifest.summary,
    risk: { level: manifest.risk.level, because: manifest.risk.because ?? null },
    tags: manifest.tags,
    digest,
    required_scopes: manifest.required_scopes,
    verification: manifest.verify.kind,
    cost: { cents: manifest.cost.cents },
  };
}

function egressDetail(manifest: Manifest): Json {
  if (manifest.http === undefined && manifest.envelope === undefined) return "none";
  const domains = egressHosts(manifest);
  return {
    proxy_allowlist: { allowed_domains: domains },
    profile: "proxy_allowlist",
    allowed_domains: domains,
    may_learn: manifest.egress.learn,
  };
}
