import type { JsonObject } from "../core/json.ts";
import type { HttpPlan } from "../core/plan.ts";
import { bodyKind, CONTENT_TYPES, renderBody } from "./body-template.ts";
import type { HttpSection, Manifest } from "./manifest-schema.ts";
import { bindSecrets, pathMarks } from "./plan-auth.ts";
import { planReadBack } from "./plan-read-back.ts";
import { type PlanContext, type Planned, type PlanRefusal, refusePlan } from "./plan-result.ts";
import { judgeTarget } from "./plan-target.ts";
import { renderHeaders } from "./render-headers.ts";
import { egressEntries } from "./target-rules.ts";
import { expandUrl, type UrlTemplate } from "./url-template.ts";

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
  const target = judgeTarget(manifest, http.method, template, expanded.url, context);
  if (!target.ok) return target;
  const bound = bindSecrets(manifest, expanded.url, target.unresolved.length === 0);
  if (!bound.ok) return bound;
  const body = http.body === undefined ? null : renderBody(http.body, params);
  if (http.body !== undefined && body === null)
    return refusePlan("invalid_content", "the body cannot be made from these parameters");
  if (body !== null && body.byteLength > manifest.limits.request_kb * 1024)
    return refusePlan("request_too_large", `the body is larger than ${manifest.limits.request_kb} kb`);
  const contentType = http.body === undefined ? null : CONTENT_TYPES[bodyKind(http.body)];
  const headers = renderHeaders(http.headers, contentType, params);
  if (headers === null)
    return refusePlan("header_invalid", "a header value must be visible ascii without outer spaces");
  const readBack = planReadBack(manifest, params, context, expanded.url, bound.secrets);
  if (!readBack.ok) return readBack;
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
      readBack: readBack.plan,
    },
    unresolved: { hosts: target.unresolved, paths: [] },
  };
}
