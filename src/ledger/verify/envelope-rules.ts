import { hostMatches, parseTargetUrl, UrlError } from "../../core/url.ts";
import type { EntryPayload } from "../entry/entry.ts";

type Granted = Extract<EntryPayload, { readonly type: "call.granted" }>["granted"];
type GrantedEnvelope = Extract<Granted, { readonly envelope: unknown }>["envelope"];

type Effects = Extract<EntryPayload, { readonly type: "call.receipt" }>["effects"];
type HttpEffect = Extract<Effects[number], { readonly kind: "http" }>;

/** Null for an exact plan. */
export function envelopeOf(granted: Granted): GrantedEnvelope | null {
  return "envelope" in granted ? granted.envelope : null;
}

/**
 * Whether a request lies in a granted envelope, as far as the log tells: host, method and port of one of its targets,
 * https unless its origin is one of the plain ones, and every credential at an origin of its own. Paths are committed
 * to, not shown, and cannot be compared with a prefix.
 */
export function isInsideEnvelope(effect: HttpEffect, envelope: GrantedEnvelope): boolean {
  const url = urlOf(effect.origin);
  if (url === null || effect.purpose !== "effect") return false;
  const { host, port, scheme, origin } = url;
  const target = envelope.targets.some(
    ({ hosts, methods, ports }) =>
      hosts.some((pattern) => hostMatches(pattern, host)) &&
      methods.includes(effect.method) &&
      ports.includes(port),
  );
  if (!target || (scheme !== "https" && !envelope.plain.includes(origin))) return false;
  return effect.secrets.every((secret) =>
    envelope.secrets.some((one) => one.secret === secret && one.origin === origin),
  );
}

/** Whether no more requests reached anything than the envelope of the grant has; of an exact plan it says nothing. */
export function countsInside(effects: Effects, granted: Granted): boolean {
  const { calls } = envelopeOf(granted) ?? { calls: Number.POSITIVE_INFINITY };
  return effects.filter(({ reached }) => reached !== "none").length <= calls;
}

function urlOf(origin: string) {
  try {
    const url = parseTargetUrl(`${origin}/`);
    return url.origin === origin ? url : null;
  } catch (thrown) {
    if (thrown instanceof UrlError) return null;
    throw thrown;
  }
}
