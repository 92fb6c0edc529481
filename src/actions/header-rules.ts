import { HEADER_NAME, headerClass } from "../core/header-rules.ts";

/** Most headers of a manifest; what the gate adds leaves it below the broker's cap. */
export const MOST_HEADERS = 32;
const LONGEST_VALUE = 4096;

/** Why a request header name cannot stand in a manifest, or null. Names are lower case (RFC 9110 §5.1). */
export function requestHeaderFault(name: string): string | null {
  if (!HEADER_NAME.test(name)) return "header names are lower-case tokens";
  switch (headerClass(name)) {
    case "framing":
      return `the header ${name} is set by the gate`;
    case "rewrite":
      return `the header ${name} can change the method, path or host behind an approval`;
    case "credential":
      return `the header ${name} carries a credential; it cannot stand in a manifest`;
    case null:
      return null;
  }
}

/** Why a response header cannot be shown to an agent, or null. */
export function responseHeaderFault(name: string): string | null {
  if (!HEADER_NAME.test(name)) return "header names are lower-case tokens";
  if (headerClass(name) === "credential" || name.startsWith("proxy-"))
    return `the header ${name} is never shown to an agent`;
  return null;
}

/** Visible ASCII and inner spaces (RFC 9110 §5.5), so that no value can start a header of its own. */
export function isHeaderValue(value: string): boolean {
  return value.length <= LONGEST_VALUE && /^(?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?$/.test(value);
}
