import type { HttpMethod } from "../core/plan.ts";
import { hostMatches, type TargetUrl } from "../core/url.ts";
import type { Manifest } from "./manifest-schema.ts";
import { type PlanContext, type PlanRefusal, refusePlan } from "./plan-result.ts";
import { egressEntries } from "./target-rules.ts";
import type { UrlTemplate } from "./url-template.ts";

export type Target = {
  readonly ok: true;
  readonly unresolved: readonly string[];
  readonly extra: readonly string[];
};

/** Listed, or named by the operator's configuration, or left for a human to decide, or refused. */
export function judgeTarget(
  manifest: Manifest,
  method: HttpMethod,
  template: UrlTemplate,
  url: TargetUrl,
  context: PlanContext,
): Target | PlanRefusal {
  const matching = egressEntries(manifest.egress).filter((entry) => hostMatches(entry.host, url.host));
  const open = matching.filter((entry) => entry.methods === null || entry.methods.includes(method));
  const listed = open.some((entry) => entry.ports.includes(url.port));
  const configured = context.local?.some(({ host, port }) => host === url.host && port === url.port) ?? false;
  // Plain http is for those who ask for it: a manifest with a literal http:// or port 80, or a local entry.
  const plain = url.scheme === "http";
  const plainListed = listed && (template.kind === "parts" || url.port === 80);
  if (configured) return { ok: true, unresolved: [], extra: [url.host] };
  if (plain && !plainListed) return refusePlan("scheme_not_allowed", "only https urls are allowed here");
  if (listed) return { ok: true, unresolved: [], extra: [] };
  if (manifest.egress.learn) return { ok: true, unresolved: [url.host], extra: [url.host] };
  if (open.length > 0)
    return refusePlan("port_not_allowed", "the port of the url is not among those of its host");
  return refusePlan("host_not_allowed", "the host of the url is not among those of the action");
}
