import { HEADER_NAME, headerClass } from "../core/header-rules.ts";
import { isJsonObject, type Json } from "../core/json.ts";
import { pointerSteps } from "../core/json-pointer.ts";
import { hostMatches } from "../core/url.ts";
import { parameterName } from "./body-template.ts";
import { isHeaderValue } from "./header-rules.ts";
import type { Finding } from "./load-problem.ts";
import type { AuthEntry, HttpSection, Manifest } from "./manifest-schema.ts";
import { PARAMETER_NAME } from "./names.ts";
import type { Parameter } from "./parameters.ts";
import { egressEntries } from "./target-rules.ts";
import type { UrlTemplate } from "./url-template.ts";

/** Headers that every plan has, or whose meaning is the body's. */
export const OWN_HEADERS: ReadonlySet<string> = new Set(["user-agent", "content-type", "content-encoding"]);

/** What is wrong with the credentials of an http action: with each alone, and with them together. */
export function authFindings(
  manifest: Manifest,
  http: HttpSection,
  template: UrlTemplate,
  parameters: ReadonlyMap<string, Parameter>,
): Finding[] {
  const findings: Finding[] = [];
  const taken = new Map<string, number>();
  for (const [i, entry] of manifest.auth.entries()) {
    const add = (member: string, message: string) =>
      findings.push({ path: ["auth", i, member].filter((step) => step !== ""), message });
    const fault = placeFault(entry, http, template, parameters);
    if (fault !== null) add(fault.member, fault.message);
    for (const message of hostFaults(manifest, entry, template)) add("hosts", message);
    const place = placeOf(entry);
    const other = taken.get(place);
    if (other !== undefined) add("name", `is the place of auth.${other} already`);
    taken.set(place, i);
  }
  return findings;
}

/** Two entries with the same text here would overwrite each other. */
export function placeOf(entry: AuthEntry): string {
  if (entry.in === "bearer" || entry.in === "basic") return "header authorization";
  return `${entry.in} ${entry.name ?? ""}`;
}

function hostFaults(manifest: Manifest, entry: AuthEntry, template: UrlTemplate): string[] {
  const faults: string[] = [];
  const egress = egressEntries(manifest.egress);
  for (const host of entry.hosts)
    if (!egress.some((one) => hostMatches(one.host, host))) faults.push(`${host} is outside egress.hosts`);
  if (template.kind === "whole") return faults;
  if (template.scheme !== "https") faults.push("a credential goes over https alone");
  const { host } = template;
  const meets = (one: string) => (host.kind === "fixed" ? one === host.host : one.endsWith(host.suffix));
  if (!entry.hosts.some(meets)) faults.push("none of them is a host of the url");
  return faults;
}

interface PlaceFault {
  readonly member: "in" | "name" | "format";
  readonly message: string;
}

function placeFault(
  entry: AuthEntry,
  http: HttpSection,
  template: UrlTemplate,
  parameters: ReadonlyMap<string, Parameter>,
): PlaceFault | null {
  const { name, format } = entry;
  const fault = (member: PlaceFault["member"], message: string): PlaceFault => ({ member, message });
  if (entry.in === "bearer" || entry.in === "basic") {
    if (name !== undefined) return fault("name", `${entry.in} is always the authorization header`);
    if (entry.in === "bearer" && format !== undefined)
      return fault("format", "bearer has its own; use in: header for another");
    if (format !== undefined && !isHeaderValue(format)) return fault("format", "must be visible ascii");
    return "authorization" in http.headers ? fault("in", "http.headers sets authorization") : null;
  }
  if (name === undefined) return fault("name", "is required");
  const message =
    entry.in === "header"
      ? headerFault(name, format, http)
      : entry.in === "query"
        ? queryFault(name, template)
        : entry.in === "path"
          ? pathFault(name, format, template, parameters)
          : bodyFault(name, http);
  return message === null ? null : fault("name", message);
}

function headerFault(name: string, format: string | undefined, http: HttpSection): string | null {
  if (!HEADER_NAME.test(name)) return "header names are lower-case tokens";
  const reserved = headerClass(name);
  if (reserved === "framing" || reserved === "rewrite" || OWN_HEADERS.has(name))
    return `the header ${name} cannot carry a credential`;
  if (name in http.headers) return `http.headers sets ${name} already`;
  return format === undefined || isHeaderValue(format) ? null : "its format must be visible ascii";
}

function queryFault(name: string, template: UrlTemplate): string | null {
  if (!/^[A-Za-z0-9._~-]+$/.test(name)) return "must be letters, digits and -._~";
  if (template.kind === "whole") return null;
  const literal = template.text.slice(template.text.indexOf("?") + 1).split(/[?&;{}]/);
  const expands = template.expressions.some(
    ({ parameter, place, operator }) => place === "query" && operator !== "" && parameter === name,
  );
  const written = template.text.includes("?") && literal.some((part) => part.split("=")[0] === name);
  return expands || written ? "the url has this query parameter already" : null;
}

function pathFault(
  name: string,
  format: string | undefined,
  template: UrlTemplate,
  parameters: ReadonlyMap<string, Parameter>,
): string | null {
  if (!PARAMETER_NAME.test(name)) return "must be a name as parameters have them";
  if (format !== undefined) return "a path has no format; write the text around {name} into the url";
  if (parameters.has(name)) return "is a parameter: an agent would fill the place of the credential";
  if (template.kind === "whole") return "needs a url template with {name} in its path";
  const uses = template.expressions.filter((expression) => expression.parameter === name);
  const [use] = uses;
  return use !== undefined && uses.length === 1 && use.place === "path" && use.operator === ""
    ? null
    : `must stand in the path of the url as {${name}}, once`;
}

function bodyFault(name: string, http: HttpSection): string | null {
  const { body } = http;
  if (body?.form !== undefined)
    return name.startsWith("/")
      ? "must be a form field, which does not begin with /"
      : Object.hasOwn(body.form, name)
        ? "http.body.form sets this field already"
        : null;
  if (body === undefined || !("json" in body)) return "needs a body of kind json or form";
  const steps = pointerSteps(name);
  const last = steps?.pop();
  if (steps === null || last === undefined) return "must be a json pointer such as /api_key (RFC 6901)";
  let now = body.json as Json | undefined; // the yaml reader lets only JSON values through
  for (const step of steps) {
    if (!isJsonObject(now) || parameterName(now) !== null || !Object.hasOwn(now, step)) now = undefined;
    else now = now[step];
  }
  if (!isJsonObject(now) || parameterName(now) !== null)
    return "what it stands in must be an object that http.body.json writes out";
  return Object.hasOwn(now, last) || last.startsWith("$") ? "http.body.json sets this member already" : null;
}
