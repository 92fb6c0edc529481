import { HttpFault, httpVersionFault } from "./fault.ts";
import type { FrontLimits } from "./limits.ts";

/** The parts of a parsed request that decide whether it is taken at all. An attacker controls them all. */
export interface RequestHead {
  readonly method: string;
  /** The request target as sent. */
  readonly target: string;
  readonly httpVersion: string;
  /** Names and values in turn, as sent. */
  readonly rawHeaders: readonly string[];
}

const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
const BODILESS: ReadonlySet<string> = new Set(["GET", "HEAD"]);
/** RFC 3986 §3.2.2 and §3.2.3: reg-name, IPv4 or bracketed literal, and a port. */
const HOST = /^(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+)(?::[0-9]{0,5})?$/;
/** Visible ASCII from the first slash on, without `#` and backslash; every `%` starts an encoding. */
const ORIGIN_FORM = /^\/(?:[\x21\x22\x24\x26-\x5b\x5d-\x7e]|%[0-9A-Fa-f]{2})*$/;

/**
 * Refuses what the parser behind takes but HTTP/1.1 forbids, or what two readers could take in two ways:
 * RFC 9112 §2.3 (version), §3.2 (target, Host), §6 (framing), RFC 9110 §7.8 and §10.1.1. Null when all is well.
 */
export function refuseHead(head: RequestHead, limits: FrontLimits): HttpFault | null {
  if (head.httpVersion !== "1.1") return httpVersionFault();
  if (!METHODS.has(head.method))
    return new HttpFault(405, "method_not_allowed", "this method is not served", {
      hint: `use one of ${[...METHODS].join(", ")}`,
    });
  return refuseTarget(head.target, limits) ?? refuseHeaders(head, limits);
}

function refuseTarget(target: string, limits: FrontLimits): HttpFault | null {
  if (target.length > limits.uriBytes)
    return new HttpFault(414, "uri_too_long", `the request target exceeds ${limits.uriBytes} bytes`);
  if (!target.startsWith("/")) return bad("the request target must be a path, such as /healthz");
  if (target.includes("#")) return bad("the request target must not carry a fragment");
  return ORIGIN_FORM.test(target)
    ? null
    : bad("the request target has a stray percent sign or a forbidden character");
}

function refuseHeaders({ method, rawHeaders }: RequestHead, limits: FrontLimits): HttpFault | null {
  if (rawHeaders.length / 2 > limits.headerCount)
    return new HttpFault(431, "headers_too_large", `more than ${limits.headerCount} headers`);
  let hosts = 0;
  let body = false;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const value = rawHeaders[i + 1] ?? "";
    switch (rawHeaders[i]?.toLowerCase()) {
      case "host":
        hosts++;
        if (!HOST.test(value)) return bad("the host header is not a host");
        break;
      case "transfer-encoding":
        if (value.toLowerCase() !== "chunked")
          return new HttpFault(501, "transfer_encoding_unsupported", "the only transfer encoding is chunked");
        body = true;
        break;
      case "content-length":
        // The parser has refused repeated, signed and non-numeric lengths.
        if (Number(value) > limits.bodyBytes) return bodyTooLarge(limits.bodyBytes);
        if (Number(value) > 0) body = true;
        break;
      case "upgrade":
        return bad("this connection cannot be upgraded", "send the request without the upgrade header");
      case "expect":
        return new HttpFault(417, "expectation_failed", "no expectation is met here", {
          hint: "send the request without the expect header",
        });
    }
  }
  if (hosts !== 1) return bad(hosts === 0 ? "the host header is missing" : "more than one host header");
  return body && BODILESS.has(method) ? bad(`a ${method} request has no body`) : null;
}

function bad(message: string, hint?: string): HttpFault {
  return new HttpFault(400, "bad_request", message, hint === undefined ? {} : { hint });
}

export function bodyTooLarge(bytes: number): HttpFault {
  return new HttpFault(413, "payload_too_large", `the body exceeds ${bytes} bytes`);
}
