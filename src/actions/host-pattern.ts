import { isIP } from "node:net";
import { hostMatches, parseTargetUrl } from "../core/url.ts";

/**
 * Why a text is no egress pattern, or null: an exact, already normalised host name or address, or `*.` before a
 * name of at least two labels (never a whole top-level domain).
 */
export function hostPatternFault(pattern: string): string | null {
  const wildcard = pattern.startsWith("*.");
  const name = wildcard ? pattern.slice(2) : pattern;
  const shown = isIP(name) === 6 ? `[${name}]` : name;
  let host: string;
  try {
    const url = parseTargetUrl(`https://${shown}/`);
    if (url.port !== 443 || url.path !== "/" || url.query !== "") return "must be a host name alone";
    host = url.host;
  } catch {
    return "must be a host name such as api.example.com or *.example.com";
  }
  if (host !== name) return `must be written as ${host}`;
  if (wildcard && (!name.includes(".") || isIP(name) !== 0))
    return "a wildcard needs a name of at least two labels, such as *.example.com";
  return null;
}

/** Why a text is no exact host, or null: what gets a credential is never a pattern. */
export function exactHostFault(host: string): string | null {
  return host.startsWith("*.") ? "must be an exact host name, not a wildcard" : hostPatternFault(host);
}

/** Whether every host that `narrow` covers is covered by `wide`. */
export function patternCovers(wide: string, narrow: string): boolean {
  if (!narrow.startsWith("*.")) return hostMatches(wide, narrow);
  if (!wide.startsWith("*.")) return false;
  return wide === narrow || narrow.endsWith(wide.slice(1));
}
