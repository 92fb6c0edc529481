import type { JsonObject } from "../core/json.ts";
import { answerMark, type ReadBackPlan } from "../core/plan/read-back.ts";
import { pathPlaceholder, type SecretBinding } from "../core/secret-binding.ts";
import { hasQueryParameter, type TargetUrl } from "../core/url.ts";
import { filledAssertions } from "./expect/assertions.ts";
import type { Manifest } from "./manifest-schema.ts";
import { pathMarks } from "./plan-auth.ts";
import { type PlanContext, type PlanRefusal, refusePlan } from "./plan-result.ts";
import { judgeTarget } from "./plan-target.ts";
import { renderHeaders } from "./render-headers.ts";
import { expandUrl, parseUrlTemplate } from "./url-template.ts";

export type PlannedReadBack = { readonly ok: true; readonly plan: ReadBackPlan | null } | PlanRefusal;

/**
 * The requests that will look for the effect at `target`, but for what only the answer to it can tell. They go to its
 * origin, with those of its credentials that a GET can carry.
 */
export function planReadBack(
  manifest: Manifest,
  params: JsonObject,
  context: PlanContext,
  target: TargetUrl,
  bound: readonly SecretBinding[],
): PlannedReadBack {
  const section = manifest.verify.kind === "http" ? manifest.verify.read_back : undefined;
  if (section === undefined) return { ok: true, plan: null };
  const template = parseUrlTemplate(section.url);
  if (!template.ok) return refusePlan("url_invalid", `read-back: ${template.message}`);
  const names = Object.keys(section.values).sort();
  const marks = Object.fromEntries(names.map((name) => [name, `{${name}}`]));
  const expanded = expandUrl(template.template, { ...params, ...pathMarks(manifest), ...marks });
  if (!expanded.ok) return refusePlan("url_invalid", `read-back: ${expanded.message}`);
  const { url } = expanded;
  if (url.origin !== target.origin)
    return refusePlan("url_invalid", "the read-back goes to another origin than the effect");
  const judged = judgeTarget(manifest, "GET", template.template, url, context);
  if (!judged.ok) return judged;
  // An agent fills the rest of the URL: its text must not spell a place of the answer's, or of a credential.
  for (const name of names)
    if (url.href.split(answerMark(name)).length !== 2)
      return refusePlan("url_invalid", "a parameter spells the place of a value of the answer");
  const secrets = bound.filter((binding) => isForGet(binding, url));
  for (const binding of secrets)
    if (!isFree(binding, url))
      return refusePlan("url_invalid", "a parameter fills the place of a credential of the read-back");
  const headers = renderHeaders(section.headers, null, params);
  if (headers === null)
    return refusePlan("header_invalid", "a header value must be visible ascii without outer spaces");
  return {
    ok: true,
    plan: {
      url: url.href,
      values: names.map((name) => ({ name, pointer: section.values[name] ?? "" })),
      headers,
      secrets,
      status: section.status ?? null,
      assert: filledAssertions(section.assert, params),
      attempts: section.attempts,
      intervalMs: section.interval_ms,
    },
  };
}

function isForGet(binding: SecretBinding, url: TargetUrl): boolean {
  if (binding.in === "body") return false;
  return binding.in !== "path" || url.path.includes(pathPlaceholder(binding.name));
}

function isFree(binding: SecretBinding, url: TargetUrl): boolean {
  if (binding.in === "query") return !hasQueryParameter(url.query, binding.name);
  return binding.in !== "path" || url.href.split(pathPlaceholder(binding.name)).length === 2;
}
