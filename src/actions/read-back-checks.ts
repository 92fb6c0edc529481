import type { Json } from "../core/json.ts";
import type { BodyUse } from "./body-template.ts";
import { findParameters, parameterName } from "./body-template.ts";
import { isHeaderValue, MOST_HEADERS } from "./header-rules.ts";
import type { Finding } from "./load-problem.ts";
import type { Manifest } from "./manifest-schema.ts";
import type { Use } from "./parameter-uses.ts";
import type { Parameter } from "./parameters.ts";
import { pathMarks } from "./plan-auth.ts";
import type { ReadBackSection } from "./sections/read-back.ts";
import { allowsTarget } from "./target-rules.ts";
import { parseUrlTemplate, type UrlTemplate } from "./url-template.ts";

const PATH = ["verify", "read_back"];

/** Operators whose expansion keeps a value within one path segment or query value. */
const VALUE_OPERATORS = ["", "/", "?", "&"];

/** What a read-back reads of the parameters, and what is wrong with it beside that. */
export function readBackFindings(
  manifest: Manifest,
  target: UrlTemplate,
  parameters: ReadonlyMap<string, Parameter>,
): { readonly uses: readonly Use[]; readonly findings: readonly Finding[] } {
  const section = manifest.verify.kind === "http" ? manifest.verify.read_back : undefined;
  if (section === undefined) return { uses: [], findings: [] };
  const findings: Finding[] = [...limitFindings(manifest, section), ...headerFindings(section)];
  const add = (member: string, message: string) => findings.push({ path: [...PATH, member], message });
  const uses: Use[] = [...assertUses(section, findings), ...headerUses(section)];
  const parsed = parseUrlTemplate(section.url);
  if (!parsed.ok) {
    add("url", parsed.message);
    return { uses, findings };
  }
  const { template } = parsed;
  if (template.kind === "whole" || target.kind === "whole") {
    add("url", "a read-back needs templates with a fixed origin, here and in http.url");
    return { uses, findings };
  }
  const origin = ({ scheme, host, port }: typeof template) => JSON.stringify([scheme, host, port]);
  if (origin(template) !== origin(target)) add("url", "must have the origin of http.url");
  const host = template.host.kind === "fixed" ? template.host.host : `*${template.host.suffix}`;
  if (!allowsTarget(manifest.egress, "GET", host, template.port))
    add("url", `egress.hosts does not let GET go to ${host}:${template.port}`);
  const marks = pathMarks(manifest);
  for (const { parameter, place, mayBeAbsent } of template.expressions) {
    if (Object.hasOwn(section.values, parameter) || Object.hasOwn(marks, parameter)) continue;
    uses.push({ parameter, as: place === "host" ? "text" : "url", path: [...PATH, "url"], mayBeAbsent });
  }
  for (const name of Object.keys(section.values)) {
    const stands = template.expressions.filter(({ parameter }) => parameter === name);
    const [place] = stands;
    if (parameters.has(name) || Object.hasOwn(marks, name))
      findings.push({ path: [...PATH, "values", name], message: "is a parameter or a credential already" });
    else if (place === undefined || stands.length > 1)
      findings.push({ path: [...PATH, "values", name], message: "must stand in the url once" });
    else if (place.place === "host" || !VALUE_OPERATORS.includes(place.operator))
      findings.push({
        path: [...PATH, "values", name],
        message: "may stand in a path segment or a query value alone",
      });
  }
  return { uses, findings };
}

function limitFindings({ limits }: Manifest, { attempts, interval_ms }: ReadBackSection): Finding[] {
  const findings: Finding[] = [];
  const add = (member: string, message: string) => findings.push({ path: [...PATH, member], message });
  if (attempts + 1 > limits.io_calls)
    add("attempts", `with the effect itself they need limits.io_calls of at least ${attempts + 1}`);
  if ((attempts - 1) * interval_ms >= limits.timeout_s * 1000)
    add("interval_ms", `the attempts do not fit into limits.timeout_s ${limits.timeout_s}`);
  return findings;
}

function headerFindings({ headers }: ReadBackSection): Finding[] {
  const findings: Finding[] = [];
  if (Object.keys(headers).length > MOST_HEADERS)
    findings.push({ path: [...PATH, "headers"], message: `has more than ${MOST_HEADERS} headers` });
  for (const [name, value] of Object.entries(headers))
    if (typeof value === "string" && !isHeaderValue(value))
      findings.push({
        path: [...PATH, "headers", name],
        message: "must be visible ascii without outer spaces",
      });
  return findings;
}

function headerUses({ headers }: ReadBackSection): readonly Use[] {
  return Object.entries(headers).flatMap(([name, value]): Use[] => {
    const parameter = parameterName(value);
    if (parameter === null) return [];
    return [{ parameter, as: "scalar", path: [...PATH, "headers", name], mayBeAbsent: true }];
  });
}

function assertUses({ assert }: ReadBackSection, findings: Finding[]): readonly Use[] {
  const found: BodyUse[] = [];
  for (const [i, assertion] of assert.entries())
    if ("equals" in assertion)
      findParameters(assertion.equals as Json, [...PATH, "assert", i, "equals"], true, found, findings); // yaml gave JSON
  return found.map((use) => ({ ...use, as: "expected", mayBeAbsent: true }));
}
