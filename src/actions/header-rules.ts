const TOKEN = /^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/;

/** Headers that the gate, or the connection, sets: a manifest that names one would only be refused later. */
const SET_BY_GATE = new Set([
  "host",
  "content-length",
  "connection",
  "transfer-encoding",
  "upgrade",
  "te",
  "trailer",
  "keep-alive",
  "expect",
  "accept-encoding",
  "http2-settings",
]);

/** They turn an approved method or path into another one behind the origin's front. */
const REWRITES = new Set([
  "x-http-method",
  "x-http-method-override",
  "x-method-override",
  "x-original-url",
  "x-rewrite-url",
]);

/**
 * Headers that carry credentials never come from a manifest's text or an agent's parameters: by these words, as the
 * whole name or between hyphens. The http broker refuses the same ones.
 */
const CREDENTIAL =
  /(?:^|-)(?:authorization|cookie2?|token|secret|password|passwd|credentials?|api-?key|(?:access|account|application|auth|private|subscription)-key|signature)(?:$|-)/;

/** Most headers of a manifest; what the gate adds leaves it below the broker's cap. */
export const MOST_HEADERS = 32;
const LONGEST_VALUE = 4096;

/** Why a request header name cannot stand in a manifest, or null. Names are lower case (RFC 9110 §5.1). */
export function requestHeaderFault(name: string): string | null {
  if (!TOKEN.test(name)) return "header names are lower-case tokens";
  if (SET_BY_GATE.has(name) || name.startsWith("proxy-")) return `the header ${name} is set by the gate`;
  if (REWRITES.has(name)) return `the header ${name} can change the method or path behind an approval`;
  if (CREDENTIAL.test(name)) return `the header ${name} carries a credential; it cannot stand in a manifest`;
  return null;
}

/** Why a response header cannot be shown to an agent, or null. */
export function responseHeaderFault(name: string): string | null {
  if (!TOKEN.test(name)) return "header names are lower-case tokens";
  if (CREDENTIAL.test(name) || name.startsWith("proxy-"))
    return `the header ${name} is never shown to an agent`;
  return null;
}

/** Visible ASCII and inner spaces (RFC 9110 §5.5), so that no value can start a header of its own. */
export function isHeaderValue(value: string): boolean {
  return value.length <= LONGEST_VALUE && /^(?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?$/.test(value);
}
