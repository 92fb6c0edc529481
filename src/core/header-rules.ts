/** RFC 9110 §5.6.2 token, lower case. */
export const HEADER_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/;

/** Framing and routing: the broker decides these, or nobody does. */
const FRAMING: ReadonlySet<string> = new Set([
  "accept-encoding",
  "connection",
  "content-length",
  "expect",
  "host",
  "http2-settings",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** They turn an approved method, path or host into another one behind the origin's front. */
const REWRITES: ReadonlySet<string> = new Set([
  "forwarded",
  "x-host",
  "x-http-method",
  "x-http-method-override",
  "x-method-override",
  "x-original-host",
  "x-original-url",
  "x-rewrite-url",
]);

/** Words that make a header a credential: as its whole name, or between hyphens. */
const CREDENTIAL =
  /(?:^|-)(?:authorization|cookie2?|token|secret|password|passwd|credentials?|api-?key|jwt|(?:access|account|admin|application|auth|functions|master|private|rapidapi|subscription)-key|signature)(?:$|-)/;

export type HeaderClass = "framing" | "rewrite" | "credential";

/**
 * Why neither a manifest nor a component may set a header; null for one that they may. One rule for the loader, which
 * refuses a manifest, and the broker, which refuses a plan.
 * @param name lower case
 */
export function headerClass(name: string): HeaderClass | null {
  if (FRAMING.has(name) || name.startsWith("proxy-")) return "framing";
  if (REWRITES.has(name) || name.startsWith("x-forwarded-")) return "rewrite";
  return CREDENTIAL.test(name) ? "credential" : null;
}
