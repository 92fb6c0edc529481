import type { JsonObject } from "../json.ts";
import type { SecretBinding } from "../secret-binding.ts";
import { type ReadBackPlan, readBackFromJson, readBackToJson } from "./read-back.ts";
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
  /** Credentials that the broker puts in, by name; `url`, `headers` and `body` are without them. */
  readonly secrets: readonly SecretBinding[];
  /** Null where the answer to the request is all that is looked at. */
  readonly readBack: ReadBackPlan | null;
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
    secrets: plan.secrets.map((binding) => ({ ...binding })),
    read_back: plan.readBack === null ? null : readBackToJson(plan.readBack),
  } satisfies JsonObject;
}

type Written = ReturnType<typeof httpPlanToJson>;
type StoredHttpPlan = Omit<Written, "secrets" | "read_back"> &
  Partial<Pick<Written, "secrets" | "read_back">>;

export function httpPlanFromJson(stored: StoredHttpPlan): HttpPlan {
  // Calls that were held before plans had credentials, or are read back, have none.
  const { response_headers: responseHeaders, body, secrets = [], read_back: back = null, ...plan } = stored;
  const readBack = back === null ? null : readBackFromJson(back);
  return { ...plan, body: decodeBytes(body), responseHeaders, secrets, readBack };
}
