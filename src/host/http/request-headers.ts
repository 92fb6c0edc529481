import type { Header } from "../../core/plan.ts";
import { HostFailure } from "../failure.ts";

const MOST_HEADERS = 64;
const MOST_BYTES = 16_384;

/** RFC 9110 §5.6.2 token, lower case. */
const NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
/** RFC 9110 §5.5: visible characters, space, tab and obs-text; no CR, LF, NUL or other control. */
const VALUE = /^[\t\u0020-\u007e\u0080-\u00ff]*$/;

/** Framing and routing: the broker decides these, or nobody does. */
const RESERVED = new Set([
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
  // These turn an approved method or path into another one behind the origin's front.
  "x-http-method",
  "x-http-method-override",
  "x-method-override",
  "x-original-url",
  "x-rewrite-url",
]);

/** Words that make a header a credential: as its whole name, or between hyphens. */
const CREDENTIAL =
  /(?:^|-)(?:authorization|cookie2?|token|secret|password|passwd|credentials?|api-?key|(?:access|account|application|auth|private|subscription)-key|signature)(?:$|-)/;

/**
 * Checks the header list of a plan. Throws {@link HostFailure} `header_not_allowed` for a list too long, a name or
 * value that could reframe the request, a header that the broker sets itself, and any that carries a credential:
 * secrets never travel in a plan, which is stored, shown and hashed.
 */
export function checkRequestHeaders(headers: readonly Header[]): void {
  if (headers.length > MOST_HEADERS) throw refused("too many headers");
  let bytes = 0;
  for (const [name, value] of headers) {
    bytes += name.length + value.length + 4;
    if (bytes > MOST_BYTES) throw refused("headers too large");
    if (!NAME.test(name)) throw refused("header name is not a lower-case token");
    if (!VALUE.test(value)) throw refused("header value holds a forbidden character");
    if (RESERVED.has(name) || name.startsWith("proxy-")) throw refused("header belongs to the broker");
    if (CREDENTIAL.test(name)) throw refused("header carries a credential");
  }
}

function refused(message: string): HostFailure {
  return new HostFailure("header_not_allowed", message);
}
