import type { JsonObject } from "../json.ts";
import { decodeBytes, encodeBytes } from "./stored-bytes.ts";

export const HTTP_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;
export type HttpMethod = (typeof HTTP_METHODS)[number];

export type Header = readonly [name: string, value: string];

export interface HttpPlan {
  readonly kind: "http";
  readonly method: HttpMethod;
  /** Normalised, see `TargetUrl.href`. */
  readonly url: string;
  /** Lower-case names in the order sent; never host, content-length or a hop-by-hop header. */
  readonly headers: readonly Header[];
  readonly body: Uint8Array | null;
  /** Host patterns that the manifest allows, see `hostMatches`. */
  readonly hosts: readonly string[];
  /** Response headers that the component may see, lower case. */
  readonly responseHeaders: readonly string[];
}

export function httpPlanToJson(plan: HttpPlan) {
  return {
    kind: plan.kind,
    method: plan.method,
    url: plan.url,
    headers: plan.headers.map(([name, value]): [string, string] => [name, value]),
    body: encodeBytes(plan.body),
    hosts: [...plan.hosts],
    response_headers: [...plan.responseHeaders],
  } satisfies JsonObject;
}

export function httpPlanFromJson(stored: ReturnType<typeof httpPlanToJson>): HttpPlan {
  const { response_headers: responseHeaders, body, ...plan } = stored;
  return { ...plan, body: decodeBytes(body), responseHeaders };
}
