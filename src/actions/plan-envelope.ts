import type { JsonObject } from "../core/json.ts";
import type { EnvelopePlan } from "../core/plan.ts";
import { hostMatches } from "../core/url.ts";
import type { EnvelopeSection, Manifest } from "./manifest-schema.ts";
import { bindAtOrigin } from "./plan-auth.ts";
import type { PlanContext, Planned } from "./plan-result.ts";

/**
 * Makes the envelope of one call: what the manifest declares, with the parameters that the component computes on.
 * Hosts that only a pattern names are nobody's yet: each call with one is held for a human.
 */
export function planEnvelope(
  manifest: Manifest,
  { targets, calls }: EnvelopeSection,
  params: JsonObject,
  context: PlanContext,
): Planned<EnvelopePlan> {
  const wildcards = targets.flatMap(({ hosts }) => hosts.filter((host) => host.startsWith("*.")));
  return {
    ok: true,
    plan: {
      kind: "envelope",
      params,
      targets: targets.map(({ hosts, methods, paths, ports }) => ({ hosts, methods, paths, ports })),
      plain: plainOrigins(manifest, targets, context),
      calls,
      responseHeaders: manifest.response.headers,
      secrets: secretOrigins(manifest, targets).map(({ entry, origin }) => bindAtOrigin(entry, origin)),
    },
    unresolved: { hosts: [...new Set(wildcards)].sort(), paths: [] },
  };
}

/** Each credential with each origin that it is for: its hosts at the ports that the envelope names for them. */
export function secretOrigins(manifest: Manifest, targets: EnvelopeSection["targets"]) {
  return manifest.auth.flatMap((entry) =>
    entry.hosts.flatMap((host) => {
      const named = targets.filter(({ hosts }) => hosts.includes(host));
      const ports = new Set(named.flatMap((target) => target.ports));
      return [...ports]
        .sort((a, b) => a - b)
        .map((port) => ({ entry, origin: originOf("https", host, port) }));
    }),
  );
}

/**
 * Where the operator's configuration opens plain http for the action: inside of the envelope, and not at a host that a
 * credential is for.
 */
function plainOrigins(
  manifest: Manifest,
  targets: EnvelopeSection["targets"],
  { local = [] }: PlanContext,
): readonly string[] {
  const inside = local.filter(
    ({ host, port, plain }) =>
      plain === true &&
      !manifest.auth.some(({ hosts }) => hosts.includes(host)) &&
      targets.some(
        ({ hosts, ports }) => ports.includes(port) && hosts.some((pattern) => hostMatches(pattern, host)),
      ),
  );
  return [...new Set(inside.map(({ host, port }) => originOf("http", host, port)))].sort();
}

/** As `TargetUrl.origin` has it. */
function originOf(scheme: "http" | "https", host: string, port: number): string {
  const shown = host.includes(":") ? `[${host}]` : host;
  return `${scheme}://${shown}${port === (scheme === "https" ? 443 : 80) ? "" : `:${port}`}`;
}
