import type { HostErrorCode } from "../core/effect.ts";
import type { HostCall } from "../core/host-call.ts";
import { isPlainPath } from "../core/path-prefix.ts";
import { outsideEnvelope } from "../core/plan/envelope.ts";
import { type EnvelopePlan, type Header, HTTP_METHODS, type HttpPlan } from "../core/plan.ts";
import { parseTargetUrl, type TargetUrl, UrlError } from "../core/url.ts";

const USER_AGENT: Header = ["user-agent", "LatchGate"];
const WITHOUT_BODY: readonly string[] = ["GET", "HEAD", "OPTIONS"];

/**
 * The request that a component asks for, as an exact plan of its own when it lies inside the envelope; otherwise the
 * code of what is outside. An attacker controls the call. The URL is read once: what is judged here is the normal form
 * that the broker sends, and of the credentials the plan holds those alone that are bound to its origin.
 */
export function requestInside(call: HostCall, envelope: EnvelopePlan): HttpPlan | HostErrorCode {
  if (call.kind !== "http.request") return "differs_from_plan";
  if (!Number.isInteger(call.timeoutMs) || call.timeoutMs < 0) return "differs_from_plan";
  const method = HTTP_METHODS.find((known) => known === call.method);
  if (method === undefined) return "operation_not_allowed";
  const url = urlOf(call.url);
  if (typeof url === "string") return url;
  const outside = outsideEnvelope(envelope, method, url);
  if (outside !== null) return outside;
  if (call.body !== null && WITHOUT_BODY.includes(method)) return "invalid_content";
  const agent = call.headers.some(([name]) => name === "user-agent") ? [] : [USER_AGENT];
  return {
    kind: "http",
    method,
    url: url.href,
    headers: [...agent, ...call.headers.map(([name, value]): Header => [name, value])],
    body: call.body,
    hosts: [url.host],
    responseHeaders: envelope.responseHeaders,
    secrets: envelope.secrets.filter(({ origin }) => origin === url.origin),
    readBack: null,
  };
}

/**
 * A URL whose path reads the same as it was written and as it is sent: the parser takes dot segments out, and a
 * component that writes them means another place than the one that is left.
 */
function urlOf(text: string): TargetUrl | HostErrorCode {
  try {
    const url = parseTargetUrl(text);
    const written = /^[a-z]+:\/\/[^/?#]*([^?#]*)/i.exec(text)?.[1] ?? "";
    return written === "" || isPlainPath(written) ? url : "path_not_allowed";
  } catch (thrown) {
    if (!(thrown instanceof UrlError)) throw thrown;
    return thrown.fault === "scheme" ? "scheme_not_allowed" : "url_invalid";
  }
}
