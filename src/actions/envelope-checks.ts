import { HEADER_NAME, headerClass } from "../core/header-rules.ts";
import { OWN_HEADERS, placeOf } from "./auth-checks.ts";
import { isHeaderValue } from "./header-rules.ts";
import type { Finding } from "./load-problem.ts";
import type { AuthEntry, EnvelopeSection, Manifest } from "./manifest-schema.ts";
import { secretOrigins } from "./plan-envelope.ts";

/** As many as a grant names. */
const MOST_BINDINGS = 256;

/** What is wrong with the envelope of a manifest whose own shape is right. */
export function envelopeFindings(manifest: Manifest, envelope: EnvelopeSection): Finding[] {
  const findings: Finding[] = [];
  const { provider, limits, verify } = manifest;
  if (!provider.startsWith("sha256:"))
    findings.push({
      path: ["provider"],
      message: "an envelope is for a component of your own: sha256: and its digest",
    });
  if (envelope.calls > limits.io_calls)
    findings.push({
      path: ["envelope", "calls"],
      message: `${envelope.calls} calls are more than limits.io_calls ${limits.io_calls}`,
    });
  if (verify.kind === "envelope" && verify.calls !== undefined && verify.calls.min > envelope.calls)
    findings.push({
      path: ["verify", "calls", "min"],
      message: `${verify.calls.min} calls cannot be made: the envelope has ${envelope.calls}`,
    });
  return [...findings, ...authFindings(manifest, envelope)];
}

function authFindings(manifest: Manifest, { targets }: EnvelopeSection): Finding[] {
  const findings: Finding[] = [];
  const taken = new Map<string, number>();
  for (const [i, entry] of manifest.auth.entries()) {
    const add = (member: string, message: string) => findings.push({ path: ["auth", i, member], message });
    const fault = placeFault(entry);
    if (fault !== null) add(fault.member, fault.message);
    for (const host of entry.hosts) {
      if (!targets.some(({ hosts }) => hosts.includes(host)))
        add("hosts", `${host} is not among the hosts of the envelope, by its own name`);
      const place = `${host} ${placeOf(entry)}`;
      const other = taken.get(place);
      if (other !== undefined) add("name", `is the place of auth.${other} already, at ${host}`);
      taken.set(place, i);
    }
  }
  if (secretOrigins(manifest, targets).length > MOST_BINDINGS)
    findings.push({ path: ["auth"], message: `names more than ${MOST_BINDINGS} places for credentials` });
  return findings;
}

/** The component makes path and body, so that neither has a place that the manifest could name. */
function placeFault(entry: AuthEntry): { member: "in" | "name" | "format"; message: string } | null {
  const { in: place, name, format } = entry;
  if (place === "path" || place === "body")
    return { member: "in", message: `an envelope has no ${place} that a credential could stand in` };
  if (place === "bearer" || place === "basic") {
    if (name !== undefined) return { member: "name", message: `${place} is always the authorization header` };
    if (place === "bearer" && format !== undefined)
      return { member: "format", message: "bearer has its own; use in: header for another" };
  } else if (name === undefined) return { member: "name", message: "is required" };
  else if (place === "query") {
    if (!/^[A-Za-z0-9._~-]+$/.test(name))
      return { member: "name", message: "must be letters, digits and -._~" };
    return null;
  } else if (!HEADER_NAME.test(name))
    return { member: "name", message: "header names are lower-case tokens" };
  else if (["framing", "rewrite"].includes(headerClass(name) ?? "") || OWN_HEADERS.has(name))
    return { member: "name", message: `the header ${name} cannot carry a credential` };
  return format === undefined || isHeaderValue(format)
    ? null
    : { member: "format", message: "must be visible ascii" };
}
