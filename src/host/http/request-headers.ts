import { HEADER_NAME, headerClass } from "../../core/header-rules.ts";
import type { Header } from "../../core/plan.ts";
import { HostFailure } from "../failure.ts";

const MOST_HEADERS = 64;
const MOST_BYTES = 16_384;

/** RFC 9110 §5.5: visible characters, space, tab and obs-text; no CR, LF, NUL or other control. */
const VALUE = /^[\t\u0020-\u007e\u0080-\u00ff]*$/;

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
    if (!HEADER_NAME.test(name)) throw refused("header name is not a lower-case token");
    if (!VALUE.test(value)) throw refused("header value holds a forbidden character");
    const reserved = headerClass(name);
    if (reserved === "credential") throw refused("header carries a credential");
    if (reserved !== null) throw refused("header belongs to the broker");
  }
}

function refused(message: string): HostFailure {
  return new HostFailure("header_not_allowed", message);
}
