import { compileGlob, GlobError } from "../core/glob.ts";
import { isJsonObject, type JsonObject } from "../core/json.ts";
import { authFindings } from "./auth-checks.ts";
import { databaseFindings, databaseUses } from "./database-checks.ts";
import { envelopeFindings } from "./envelope-checks.ts";
import { isHeaderValue, MOST_HEADERS } from "./header-rules.ts";
import type { Finding } from "./load-problem.ts";
import type { FsSection, HttpSection, Manifest } from "./manifest-schema.ts";
import { fsUses, httpUses, type Use, verifyUses } from "./parameter-uses.ts";
import { type Parameter, parametersOf } from "./parameters.ts";
import { pathMarks } from "./plan-auth.ts";
import { queueFindings, queueUses } from "./queue-checks.ts";
import { readBackFindings } from "./read-back-checks.ts";
import { impliedEffects, riskFindings } from "./risk.ts";
import { unknownKey } from "./schema-parts.ts";
import { smtpFindings, smtpUses } from "./smtp-checks.ts";
import { storageFindings, storageUses } from "./storage-checks.ts";
import { allowsTarget } from "./target-rules.ts";
import { parseUrlTemplate, type UrlTemplate } from "./url-template.ts";

/** The rules that look at several members of a manifest whose own shape is right. All that is wrong is reported. */
export function crossCheck(manifest: Manifest): Finding[] {
  const params = manifest.params as JsonObject; // the yaml reader lets only JSON values through
  const parameters = parametersOf(params);
  const template = manifest.http === undefined ? null : parseUrlTemplate(manifest.http.url);
  const findings: Finding[] = [
    ...sectionFindings(manifest),
    ...effectFindings(manifest),
    ...riskFindings(manifest),
  ];
  if (template !== null && !template.ok) findings.push({ path: ["http", "url"], message: template.message });
  const uses: Use[] = [];
  if (manifest.http !== undefined && template?.ok === true) {
    const found = httpUses(manifest.http, template.template);
    // The credentials of a path stand in the url like parameters, and are none.
    const marks = pathMarks(manifest);
    uses.push(
      ...found.uses.filter(
        ({ as, parameter }) => as !== "url" || !Object.hasOwn(marks, parameter) || parameters.has(parameter),
      ),
    );
    findings.push(...authFindings(manifest, manifest.http, template.template, parameters));
    findings.push(...found.findings, ...egressFindings(manifest, manifest.http, template.template));
    const back = readBackFindings(manifest, template.template, parameters);
    uses.push(...back.uses);
    findings.push(...back.findings);
    findings.push(...httpFindings(manifest.http));
  }
  if (manifest.fs !== undefined) {
    uses.push(...fsUses(manifest.fs));
    findings.push(...fsFindings(manifest, manifest.fs, parameters));
  }
  if (manifest.database !== undefined) {
    uses.push(...databaseUses(manifest.database));
    findings.push(...databaseFindings(manifest.database));
  }
  if (manifest.smtp !== undefined) {
    uses.push(...smtpUses(manifest.smtp));
    findings.push(...smtpFindings(manifest.smtp));
  }
  if (manifest.queue !== undefined) {
    const found = queueUses(manifest.queue);
    uses.push(...found.uses);
    findings.push(...found.findings, ...queueFindings(manifest.queue));
  }
  if (manifest.storage !== undefined) {
    uses.push(...storageUses(manifest.storage));
    findings.push(...storageFindings(manifest, manifest.storage, parameters));
  }
  if (manifest.envelope !== undefined) {
    // The component gets every parameter.
    for (const name of parameters.keys())
      uses.push({ parameter: name, as: "json", path: ["envelope"], mayBeAbsent: true });
    findings.push(...envelopeFindings(manifest, manifest.envelope));
  }
  findings.push(...useFindings(manifest, parameters, uses, template !== null && !template.ok));
  findings.push(...sizeFindings(manifest, parameters));
  return findings;
}

/** The sections, the built-in component that each needs, and how an action with one is called. */
const SECTIONS = [
  { name: "http", provider: "builtin:http_api", called: "an http" },
  { name: "fs", provider: "builtin:fs", called: "an fs" },
  { name: "database", provider: "builtin:database", called: "a database" },
  { name: "smtp", provider: "builtin:smtp", called: "an smtp" },
  { name: "queue", provider: "builtin:queue", called: "a queue" },
  { name: "storage", provider: "builtin:storage", called: "a storage" },
  { name: "envelope", provider: null, called: "an envelope" },
] as const;

function sectionFindings(manifest: Manifest): Finding[] {
  const { provider, verify, egress, response, auth } = manifest;
  const findings: Finding[] = [];
  const add = (path: string, message: string) => findings.push({ path: [path], message });
  const there = SECTIONS.filter(({ name }) => manifest[name] !== undefined);
  if (there.length !== 1)
    add("", `must have exactly one of the sections ${SECTIONS.map(({ name }) => name).join(", ")}`);
  const verified = verify.kind === "fs_hash" ? "fs" : verify.kind;
  for (const { name, provider: builtin, called } of SECTIONS) {
    if (manifest[name] !== undefined) continue;
    if (provider === builtin) add("provider", `${builtin} needs ${called} section`);
    if (verified === name) add("verify", `kind ${verify.kind} needs ${called} section`);
  }
  const other = there.find(({ name }) => name !== "http");
  if (other !== undefined) {
    const { name, called } = other;
    if (egress.hosts.length > 0 || egress.learn)
      add(
        "egress",
        name === "envelope" ? "an envelope names its hosts itself" : `${called} action has no egress`,
      );
    if (auth.length > 0 && name !== "envelope")
      add("auth", name === "fs" ? "an fs action has no credentials" : credentialElsewhere(called));
    const headers = response.headers.length > 0 && name !== "envelope";
    if (headers || response.schema !== undefined)
      add("response", name === "envelope" ? NO_ONE_RESPONSE : `${called} action has no remote response`);
  }
  if (!manifest.required_scopes.includes("tools:call")) add("required_scopes", "must include tools:call");
  return findings;
}

const NO_ONE_RESPONSE = "an envelope has no one remote response that a schema could describe";

function credentialElsewhere(called: string): string {
  return `the credential of ${called} action belongs to its connection`;
}

function effectFindings(manifest: Manifest): Finding[] {
  return impliedEffects(manifest)
    .filter(({ effects }) => !effects.some((effect) => manifest.effects.includes(effect)))
    .map(({ of, effects }) => ({
      path: ["effects"],
      message: `${of} needs the effect ${effects.slice(0, 2).join(" or ")}`,
    }));
}

function egressFindings(manifest: Manifest, http: HttpSection, template: UrlTemplate): Finding[] {
  const { hosts, learn } = manifest.egress;
  const findings: Finding[] = [];
  for (const [i, entry] of hosts.entries())
    if (typeof entry !== "string" && entry.methods !== undefined && !entry.methods.includes(http.method))
      findings.push({
        path: ["egress", "hosts", i],
        message: `never applies: its methods lack ${http.method}`,
      });
  if (template.kind === "whole") {
    if (hosts.length === 0 && !learn)
      findings.push({ path: ["egress"], message: "names no host; list hosts or set learn: true" });
    return findings;
  }
  if (learn) findings.push({ path: ["egress", "learn"], message: "has no use: the url fixes its host" });
  const host = template.host.kind === "fixed" ? template.host.host : `*${template.host.suffix}`;
  if (!allowsTarget(manifest.egress, http.method, host, template.port))
    findings.push({
      path: ["http", "url"],
      message: `the host ${host}:${template.port} is outside egress.hosts`,
    });
  return findings;
}

function httpFindings(http: HttpSection): Finding[] {
  const findings: Finding[] = [];
  if (http.body !== undefined && ["GET", "HEAD", "OPTIONS"].includes(http.method))
    findings.push({ path: ["http", "body"], message: `a ${http.method} request has no body` });
  if (Object.keys(http.headers).length > MOST_HEADERS)
    findings.push({ path: ["http", "headers"], message: `has more than ${MOST_HEADERS} headers` });
  for (const [name, value] of Object.entries(http.headers))
    if (typeof value === "string" && !isHeaderValue(value))
      findings.push({
        path: ["http", "headers", name],
        message: "must be visible ascii without outer spaces",
      });
  return findings;
}

function fsFindings(
  manifest: Manifest,
  fs: FsSection,
  parameters: ReadonlyMap<string, Parameter>,
): Finding[] {
  const findings: Finding[] = [];
  const add = (member: string, message: string) => findings.push({ path: ["fs", member], message });
  const writes = fs.operation === "write";
  if (writes !== (fs.content !== undefined))
    add("content", writes ? "a write needs content" : "is for write alone");
  if (!writes && fs.mode !== undefined) add("mode", "is for write alone");
  if (fs.operation === "read" && fs.expected_before_hash !== undefined)
    add("expected_before_hash", "is for write and delete");
  if (fs.mode !== undefined && typeof fs.mode !== "string") {
    const schema = parameters.get(fs.mode.$param)?.schema;
    const values = isJsonObject(schema) ? schema.enum : undefined;
    if (!Array.isArray(values) || !values.every((value) => value === "create" || value === "overwrite"))
      add("mode", "its parameter must be an enum of create and overwrite");
  }
  for (const list of ["allow", "deny"] as const)
    for (const [i, pattern] of fs[list].entries()) {
      const glob = compileGlob(pattern, { ignoreCase: list === "deny" });
      if (glob instanceof GlobError) findings.push({ path: ["fs", list, i], message: glob.message });
    }
  if (fs.operation === "read" && fs.max_file_kb > manifest.limits.response_kb)
    add(
      "max_file_kb",
      `${fs.max_file_kb} kb cannot fit into limits.response_kb ${manifest.limits.response_kb}`,
    );
  if (writes && fs.max_file_kb > manifest.limits.request_kb)
    add(
      "max_file_kb",
      `${fs.max_file_kb} kb cannot fit into limits.request_kb ${manifest.limits.request_kb}`,
    );
  return findings;
}

const KIND_TYPES = {
  scalar: ["string", "number", "integer", "boolean"],
  url: ["string", "number", "integer", "boolean", "array"],
  text: ["string"],
  base64: ["string"],
  list: ["array"],
} as const;

function useFindings(
  manifest: Manifest,
  parameters: ReadonlyMap<string, Parameter>,
  uses: readonly Use[],
  incomplete: boolean,
): Finding[] {
  const findings: Finding[] = [];
  const used = new Set<string>();
  const all: Use[] = [...uses, ...verifyUses(manifest.verify)];
  for (const [i, name] of manifest.policy_params.entries())
    all.push({ parameter: name, as: "policy", path: ["policy_params", i], mayBeAbsent: true });
  for (const use of all) {
    if (use.as !== "expected") used.add(use.parameter);
    const parameter = parameters.get(use.parameter);
    if (parameter === undefined) {
      const message = unknownKey(use.parameter, parameters.keys().toArray()).replace(
        "unknown key",
        "unknown parameter",
      );
      findings.push({ path: use.path, message });
      continue;
    }
    const fault = useFault(use, parameter);
    if (fault !== null) findings.push({ path: use.path, message: fault });
  }
  // With a broken url it is unknown what it would have used.
  if (incomplete) return findings;
  for (const parameter of parameters.values())
    if (!used.has(parameter.name) && !parameter.constant)
      findings.push({ path: ["params", "properties", parameter.name], message: "is never used" });
  return findings;
}

function useFault(use: Use, parameter: Parameter): string | null {
  const name = use.parameter;
  if (!use.mayBeAbsent && !parameter.present)
    return `${name} must be required or have a default to stand here`;
  if (use.as === "json" || use.as === "expected") return null;
  const types = [...(parameter.types ?? [])].filter((type) => type !== "null");
  const allowed: readonly string[] = KIND_TYPES[use.as === "policy" ? "scalar" : use.as];
  if (types.length === 0 || !types.every((type) => allowed.includes(type)))
    return `${name} must be declared as ${allowed.join(", ")} to stand here`;
  if (!use.mayBeAbsent && parameter.nullable) return `${name} must not be null to stand here`;
  if (
    use.as === "base64" &&
    !(isJsonObject(parameter.schema) && parameter.schema.contentEncoding === "base64")
  )
    return `${name} must declare contentEncoding: base64`;
  return null;
}

/** A longest value that is plain ASCII must fit: a cap that no sender can reach is a contradiction, not a limit. */
function sizeFindings(manifest: Manifest, parameters: ReadonlyMap<string, Parameter>): Finding[] {
  const cap = manifest.limits.request_kb * 1024;
  const findings: Finding[] = [];
  const fuel = builtinFuel(manifest);
  if (manifest.provider.startsWith("builtin:") && manifest.limits.fuel < fuel)
    findings.push({
      path: ["limits", "fuel"],
      message: `a call of this request_kb and response_kb may take ${fuel}`,
    });
  for (const { name, schema } of parameters.values()) {
    const most = isJsonObject(schema) ? schema.maxLength : undefined;
    if (typeof most === "number" && most + name.length + 7 > cap)
      findings.push({
        path: ["params", "properties", name, "maxLength"],
        message: `${most} characters cannot fit into limits.request_kb ${manifest.limits.request_kb}`,
      });
  }
  return findings;
}

/**
 * More than a built-in provider ever uses, headers included (docs/providers.md, Metering): a call must not end between
 * its effect and its answer.
 */
function builtinFuel({ limits }: Manifest): number {
  return 250_000 + limits.request_kb * 1024 * 2 + limits.response_kb * 512;
}
