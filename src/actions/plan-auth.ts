import { pathPlaceholder, SECRET_MARK, type SecretBinding } from "../core/secret-binding.ts";
import { hasQueryParameter, type TargetUrl } from "../core/url.ts";
import type { AuthEntry, Manifest } from "./manifest-schema.ts";
import { type PlanRefusal, refusePlan } from "./plan-result.ts";

export type BoundSecrets = { readonly ok: true; readonly secrets: readonly SecretBinding[] } | PlanRefusal;

/** What stands in for the credentials of a path while its URL is expanded: the parser writes it as the placeholder. */
export function pathMarks(manifest: Manifest): Readonly<Record<string, string>> {
  const marks: Record<string, string> = {};
  for (const entry of manifest.auth)
    if (entry.in === "path" && entry.name !== undefined) marks[entry.name] = `{${entry.name}}`;
  return marks;
}

/**
 * The credentials of one request, bound to its very origin. A host that was not listed by name for them gets none, and
 * neither does one that a human is yet to approve: without an optional one the call goes on, without a required one it
 * is refused.
 *
 * @param listed whether the manifest or the operator's configuration names the target
 */
export function bindSecrets(manifest: Manifest, url: TargetUrl, listed: boolean): BoundSecrets {
  const secrets: SecretBinding[] = [];
  for (const entry of manifest.auth) {
    const { secret, required } = entry;
    const may = listed && url.scheme === "https" && entry.hosts.includes(url.host);
    if (!may) {
      if (required)
        return refusePlan("secret_not_bound", "the credential of the action is not for this host");
      continue;
    }
    const place = placeOf(entry);
    const fault = collision(place, url);
    if (fault !== null) return refusePlan("url_invalid", fault);
    secrets.push({ secret, ...place, origin: url.origin, required });
  }
  return { ok: true, secrets };
}

/** One credential at one origin that it is for, whatever the request there is. */
export function bindAtOrigin(entry: AuthEntry, origin: string): SecretBinding {
  return { secret: entry.secret, ...placeOf(entry), origin, required: entry.required };
}

type Place = Pick<SecretBinding, "in" | "name" | "format">;

function placeOf(entry: AuthEntry): Place {
  const format = entry.format ?? SECRET_MARK;
  if (entry.in === "bearer") return { in: "header", name: "authorization", format: `Bearer ${SECRET_MARK}` }; // RFC 6750 §2.1
  if (entry.in === "basic") return { in: "basic", name: "authorization", format };
  return { in: entry.in, name: entry.name ?? "", format };
}

/** An agent fills the rest of the URL: its text must not take the credential's place, or make a second one. */
function collision(place: Place, url: TargetUrl): string | null {
  if (place.in === "query" && hasQueryParameter(url.query, place.name))
    return "the url has the query parameter of the credential";
  if (place.in === "path" && url.href.split(pathPlaceholder(place.name)).length !== 2)
    return "a parameter spells the place of the credential";
  return null;
}
