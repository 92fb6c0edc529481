import type { z } from "zod";
import { sha256Hex } from "../core/bytes.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import { isJsonObject, type Json, type JsonObject } from "../core/json.ts";
import { didYouMean } from "../core/suggest.ts";
import { crossCheck } from "./cross-checks.ts";
import { compileSchema, schemaFault } from "./json-schema.ts";
import type { Finding, LoadProblem } from "./load-problem.ts";
import { type Manifest, manifestSchema } from "./manifest-schema.ts";
import { closeParameters, parameterFindings, schemaFindings } from "./parameters.ts";
import { readYaml } from "./yaml-document.ts";

/** One manifest text and where it comes from. */
export interface ManifestSource {
  /** As problems name it, e.g. a path. */
  readonly file: string;
  /** Who put it there: `builtin`, `project` …; shown with the action. */
  readonly origin: string;
  readonly text: string;
  /** Set for embedded manifests alone: the tests have held their schemas against the meta-schema and compiled them. */
  readonly schemasChecked?: true;
}

export type ManifestResult =
  | {
      readonly ok: true;
      readonly manifest: Manifest;
      readonly digest: string;
      line(path: readonly string[]): number | null;
    }
  | { readonly ok: false; readonly problems: readonly LoadProblem[] };

/** Reads one manifest: everything that is wrong with it is reported, each with its code, path and line. */
export function parseManifest(source: ManifestSource): ManifestResult {
  const document = readYaml(source.text);
  if (!document.ok)
    return {
      ok: false,
      problems: document.problems.map(({ line, message }) => ({
        code: "manifest_invalid",
        file: source.file,
        line,
        path: "",
        message,
      })),
    };
  const findings: Finding[] = [];
  const shape = manifestSchema.safeParse(document.value);
  let manifest: Manifest | null = null;
  if (shape.success) {
    manifest = withDefaults(shape.data);
    findings.push(...schemaMemberFindings(manifest, source.schemasChecked === true));
    // With a schema that does not compile the rest would only be consequential complaints.
    if (findings.length === 0) findings.push(...crossCheck(manifest));
  } else findings.push(...shape.error.issues.flatMap((issue) => issueFindings(issue, document.value)));
  if (manifest === null || findings.length > 0)
    return {
      ok: false,
      problems: findings.map(({ path, message }) => ({
        code: "manifest_invalid",
        file: source.file,
        line: document.line(path),
        path: path.filter((step) => step !== "").join("."),
        message,
      })),
    };
  return { ok: true, manifest, digest: manifestDigest(manifest), line: document.line };
}

/** `sha256:` over the canonical JSON (RFC 8785) of the manifest with every default written out, schemas included. */
export function manifestDigest(manifest: Manifest): string {
  // What the schema puts out is JSON, or undefined for an absent member, which the canonical form leaves out.
  return `sha256:${sha256Hex(canonicalJson(manifest as unknown as Json))}`;
}

/** Defaults that depend on other members. */
function withDefaults(manifest: Manifest): Manifest {
  const params = closeParameters(manifest.params as JsonObject); // the yaml reader lets only JSON values through
  const { fs, http, storage, envelope, response } = manifest;
  const always = http === undefined && envelope === undefined ? [] : ["content-type"];
  const headers = [...new Set([...always, ...response.headers])].sort();
  return {
    ...manifest,
    params,
    response: { ...response, headers },
    ...(fs?.operation === "write" ? { fs: { ...fs, mode: fs.mode ?? "overwrite" } } : {}),
    ...(storage?.operation === "put" ? { storage: { ...storage, mode: storage.mode ?? "create" } } : {}),
  };
}

function schemaMemberFindings(manifest: Manifest, checked: boolean): Finding[] {
  const params = manifest.params as JsonObject; // as above
  const response = manifest.response.schema as JsonObject | undefined; // as above
  const findings = parameterFindings(params);
  if (findings.length === 0) findings.push(...oneSchema(params, ["params"], true, checked));
  if (findings.length === 0 && !checked) findings.push(...defaultFindings(params));
  if (response !== undefined) findings.push(...oneSchema(response, ["response", "schema"], false, checked));
  return findings;
}

function oneSchema(
  schema: JsonObject,
  path: readonly string[],
  applyDefaults: boolean,
  checked: boolean,
): Finding[] {
  const findings = schemaFindings(schema, path);
  if (findings.length > 0) return findings;
  // Compiling is what takes the time, a millisecond each; an action compiles its own at its first call.
  if (checked) return [];
  const fault = schemaFault(schema);
  if (fault !== null) return [{ path, message: fault }];
  const compiled = compileSchema(schema, { applyDefaults });
  return compiled.ok ? [] : [{ path, message: compiled.message }];
}

/** A default that its own schema refuses would make every call fail that relies on it. */
function defaultFindings(params: JsonObject): Finding[] {
  const properties = isJsonObject(params.properties) ? params.properties : {};
  const findings: Finding[] = [];
  for (const [name, property] of Object.entries(properties)) {
    if (!isJsonObject(property) || !("default" in property)) continue;
    const { default: value, ...rest } = property;
    const compiled = compileSchema({ ...rest, $defs: params.$defs ?? {} }, { applyDefaults: true });
    if (!compiled.ok || !compiled.schema.accepts(structuredClone(value)))
      findings.push({
        path: ["params", "properties", name, "default"],
        message: "is refused by its own schema",
      });
  }
  return findings;
}

function issueFindings(issue: z.core.$ZodIssue, value: JsonObject): Finding[] {
  const path = issue.path.map((step) => (typeof step === "number" ? step : String(step)));
  const given = at(value, path);
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.message
        .split("\n")
        .map((message, i) => ({ path: [...path, issue.keys[i] ?? ""], message }));
    case "invalid_key":
      return issue.issues.map((inner) => ({ path, message: inner.message }));
    case "invalid_value": {
      if (given === undefined) return [{ path, message: "is required" }];
      const choice = typeof given === "string" && issue.values.length > 1;
      const near = choice ? didYouMean(given, issue.values.map(String)) : undefined;
      const message = issue.message.startsWith("Invalid")
        ? `must be one of ${issue.values.map(String).join(", ")}`
        : issue.message;
      return [{ path, message: near === undefined ? message : `${message}; did you mean ${near}?` }];
    }
    case "invalid_type":
      return [{ path, message: given === undefined ? "is required" : `must be of type ${issue.expected}` }];
    default:
      return [{ path, message: lowerFirst(issue.message) }];
  }
}

function at(value: Json, path: readonly (string | number)[]): Json | undefined {
  let now: Json | undefined = value;
  for (const step of path) {
    if (Array.isArray(now) && typeof step === "number") now = now[step];
    else if (isJsonObject(now) && typeof step === "string" && Object.hasOwn(now, step)) now = now[step];
    else return undefined;
  }
  return now;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
