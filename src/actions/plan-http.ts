import type { JsonObject } from "../core/json.ts";
import type { Header, HttpPlan } from "../core/plan.ts";
import { hostMatches, type TargetUrl } from "../core/url.ts";
import { bodyKind, CONTENT_TYPES, parameterName, renderBody } from "./body-template.ts";
import { isHeaderValue } from "./header-rules.ts";
import type { HttpSection, Manifest } from "./manifest-schema.ts";
import { bindSecrets, pathMarks } from "./plan-auth.ts";
import { type PlanContext, type Planned, type PlanRefusal, refusePlan } from "./plan-result.ts";
import { egressEntries } from "./target-rules.ts";
import { expandUrl, type UrlTemplate } from "./url-template.ts";

const USER_AGENT = "LatchGate";

/** Makes the one request that checked parameters stand for. */
export function planHttp(
  manifest: Manifest,
  http: HttpSection,
  template: UrlTemplate,
  params: JsonObject,
  context: PlanContext,
): Planned<HttpPlan> | PlanRefusal {
  const expanded = expandUrl(template, { ...params, ...pathMarks(manifest) });
  if (!expanded.ok) return refusePlan("url_invalid", expanded.message);
  const target = judgeTarget(manifest, http, template, expanded.url, context);
  if (!target.ok) return target;
  const bound = bindSecrets(manifest, expanded.url, target.unresolved.length === 0);
  if (!bound.ok) return bound;
  const body = http.body === undefined ? null : renderBody(http.body, params);
  if (http.body !== undefined && body === null)
    return refusePlan("invalid_content", "the body cannot be made from these parameters");
  if (body !== null && body.byteLength > manifest.limits.request_kb * 1024)
    return refusePlan("request_too_large", `the body is larger than ${manifest.limits.request_kb} kb`);
  const headers = renderHeaders(http, params);
  if (headers === null)
    return refusePlan("header_invalid", "a header value must be visible ascii without outer spaces");
  const patterns = egressEntries(manifest.egress).map((entry) => entry.host);
  const hosts = [...new Set([...patterns, ...target.extra])];
  return {
    ok: true,
    plan: {
      kind: "http",
      method: http.method,
      url: expanded.url.href,
      headers,
      body,
      hosts,
      responseHeaders: manifest.response.headers,
      secrets: bound.secrets,
    },
    unresolved: { hosts: target.unresolved, paths: [] },
  };
}

type Target = {
  readonly ok: true;
  readonly unresolved: readonly string[];
  readonly extra: readonly string[];
};

/** Listed, or named by the operator's configuration, or left for a human to decide, or refused. */
function judgeTarget(
  manifest: Manifest,
  http: HttpSection,
  template: UrlTemplate,
  url: TargetUrl,
  context: PlanContext,
): Target | PlanRefusal {
  const matching = egressEntries(manifest.egress).filter((entry) => hostMatches(entry.host, url.host));
  const open = matching.filter((entry) => entry.methods === null || entry.methods.includes(http.method));
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

/** In the order of their names, so that equal manifests send equal requests. */
function renderHeaders(http: HttpSection, params: JsonObject): readonly Header[] | null {
  const headers = new Map<string, string>([["user-agent", USER_AGENT]]);
  if (http.body !== undefined) headers.set("content-type", CONTENT_TYPES[bodyKind(http.body)]);
  for (const [name, value] of Object.entries(http.headers)) {
    const parameter = parameterName(value);
    const given = parameter === null ? value : params[parameter];
    if (given === undefined || given === null) continue;
    if (typeof given === "object") return null;
    const text = String(given);
    if (!isHeaderValue(text)) return null;
    headers.set(name, text);
  }
  return [...headers].sort(([a], [b]) => (a < b ? -1 : 1));
}
