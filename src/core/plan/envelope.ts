import type { HostErrorCode } from "../effect/error-code.ts";
import type { JsonObject } from "../json.ts";
import { isBelowPrefix, isPlainPath } from "../path-prefix.ts";
import type { SecretBinding } from "../secret-binding.ts";
import { hostMatches, type TargetUrl } from "../url.ts";
import type { HttpMethod } from "./http.ts";

/** Requests of one kind: each of its methods, at each of its hosts and ports, below each of its paths. */
export interface EnvelopeTarget {
  /** Exact hosts or `*.example.com`, see `hostMatches`. */
  readonly hosts: readonly string[];
  readonly methods: readonly HttpMethod[];
  /** See `isBelowPrefix`. */
  readonly paths: readonly string[];
  readonly ports: readonly number[];
}

/**
 * What a component that computes its own requests may do: not which requests it makes, but where each of them has to
 * lie. As it is here it is hashed, judged by policy and shown to the approver; each host call is held against it.
 */
export interface EnvelopePlan {
  readonly kind: "envelope";
  /** What the component computes on: the checked parameters of the call. */
  readonly params: JsonObject;
  readonly targets: readonly EnvelopeTarget[];
  /** Origins among them where the operator's configuration opens plain http; https alone everywhere else. */
  readonly plain: readonly string[];
  /** Host calls that the component may make, refused ones included. */
  readonly calls: number;
  /** Response headers that the component may see, lower case. */
  readonly responseHeaders: readonly string[];
  /** Credentials that the broker puts in, each at the one origin of its binding. */
  readonly secrets: readonly SecretBinding[];
}

export function envelopePlanToJson(plan: EnvelopePlan) {
  return {
    kind: plan.kind,
    params: plan.params,
    targets: plan.targets.map(({ hosts, methods, paths, ports }) => ({
      hosts: [...hosts],
      methods: [...methods],
      paths: [...paths],
      ports: [...ports],
    })),
    plain: [...plan.plain],
    calls: plan.calls,
    response_headers: [...plan.responseHeaders],
    secrets: plan.secrets.map((binding) => ({ ...binding })),
  } satisfies JsonObject;
}

export function envelopePlanFromJson(stored: ReturnType<typeof envelopePlanToJson>): EnvelopePlan {
  const { response_headers: responseHeaders, ...plan } = stored;
  return { ...plan, responseHeaders };
}

/** Every value of one member of the targets, once, in ascending order. */
export function acrossTargets<K extends keyof EnvelopeTarget>(
  plan: Pick<EnvelopePlan, "targets">,
  member: K,
): EnvelopeTarget[K][number][] {
  const all: EnvelopeTarget[K][number][] = plan.targets.flatMap((target) => [...target[member]]);
  return [...new Set(all)].sort((a, b) => (a < b ? -1 : 1));
}

/** Why a request lies outside of an envelope; null for one inside. One target has to have all of it. */
export function outsideEnvelope(
  plan: Pick<EnvelopePlan, "targets" | "plain">,
  method: string,
  url: TargetUrl,
): HostErrorCode | null {
  if (!isPlainPath(url.path)) return "path_not_allowed";
  let left = plan.targets.filter(({ hosts }) => hosts.some((pattern) => hostMatches(pattern, url.host)));
  if (left.length === 0) return "host_not_allowed";
  left = left.filter(({ ports }) => ports.includes(url.port));
  if (left.length === 0) return "port_not_allowed";
  left = left.filter(({ methods }) => methods.some((one) => one === method));
  if (left.length === 0) return "operation_not_allowed";
  if (!left.some(({ paths }) => paths.some((prefix) => isBelowPrefix(prefix, url.path))))
    return "path_not_allowed";
  return url.scheme === "https" || plan.plain.includes(url.origin) ? null : "scheme_not_allowed";
}

/** An envelope as a person reads it, one line for each thing that it allows. */
export function envelopeWords(plan: EnvelopePlan): readonly string[] {
  const lines = [
    `the component computes its own requests: up to ${plan.calls} of them, any that the lines below allow`,
  ];
  for (const { hosts, methods, paths, ports } of plan.targets)
    lines.push(
      `${methods.join(", ")} to ${hosts.map(hostWords).join(", ")} on port ${ports.join(", ")}, ` +
        `at or below ${paths.join(", ")}, with any query, headers and body`,
    );
  if (plan.plain.length > 0) lines.push(`without TLS at ${plan.plain.join(", ")}`);
  for (const { secret, in: place, name, origin, required } of plan.secrets)
    lines.push(
      `with ${secret} (${place} ${name}) in every request to ${origin}${required ? "" : ", if there is one"}`,
    );
  return lines;
}

function hostWords(pattern: string): string {
  return pattern.startsWith("*.") ? `any host below ${pattern.slice(2)}` : pattern;
}
