import { fromBase64, utf8 } from "../core/bytes.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import { isJsonObject, type Json, type JsonObject } from "../core/json.ts";
import type { Finding } from "./load-problem.ts";
import type { HttpSection } from "./manifest-schema.ts";

type BodyTemplate = NonNullable<HttpSection["body"]>;

/** A parameter that a body uses, and how. */
export interface BodyUse {
  readonly parameter: string;
  readonly as: "json" | "scalar" | "text" | "base64";
  readonly path: readonly (string | number)[];
  /** Whether the body can do without it. */
  readonly mayBeAbsent: boolean;
}

export const CONTENT_TYPES = {
  json: "application/json",
  form: "application/x-www-form-urlencoded",
  text: "text/plain; charset=utf-8",
  bytes: "application/octet-stream",
} as const;

export function bodyKind(body: BodyTemplate): keyof typeof CONTENT_TYPES {
  if ("json" in body) return "json";
  if ("form" in body) return "form";
  return "text" in body ? "text" : "bytes";
}

/** `{$param: name}` gives the name. */
export function parameterName(value: unknown): string | null {
  if (!isJsonObject(value)) return null;
  const name = value.$param;
  return typeof name === "string" && Object.keys(value).length === 1 ? name : null;
}

/** The parameters that a body uses; members that start with `$` and are no reference are findings. */
export function bodyUses(body: BodyTemplate): { uses: readonly BodyUse[]; findings: readonly Finding[] } {
  const at = ["http", "body", bodyKind(body)];
  const uses: BodyUse[] = [];
  const findings: Finding[] = [];
  if ("json" in body) findParameters(jsonOf(body), at, false, uses, findings);
  for (const [name, value] of Object.entries(body.form ?? {})) {
    const parameter = parameterName(value);
    if (parameter !== null) uses.push({ parameter, as: "scalar", path: [...at, name], mayBeAbsent: true });
  }
  const text = parameterName(body.text);
  if (text !== null) uses.push({ parameter: text, as: "text", path: at, mayBeAbsent: false });
  const bytes = parameterName(body.bytes);
  if (bytes !== null) uses.push({ parameter: bytes, as: "base64", path: at, mayBeAbsent: false });
  return { uses, findings };
}

/** References anywhere in a JSON template, which is also how an expected value is written. */
export function findParameters(
  template: Json,
  path: readonly (string | number)[],
  inside: boolean,
  uses: BodyUse[],
  findings: Finding[],
): void {
  if (Array.isArray(template)) {
    for (const [i, item] of template.entries()) findParameters(item, [...path, i], true, uses, findings);
    return;
  }
  if (!isJsonObject(template)) return;
  const parameter = parameterName(template);
  if (parameter !== null) {
    uses.push({ parameter, as: "json", path, mayBeAbsent: inside });
    return;
  }
  for (const [name, value] of Object.entries(template)) {
    if (name.startsWith("$"))
      findings.push({
        path: [...path, name],
        message: "a member that starts with $ must be {$param: name} alone",
      });
    findParameters(value, [...path, name], true, uses, findings);
  }
}

/** A JSON template with its parameters filled in; an absent one takes its member, or its place in a list, along. */
export function fillJson(template: Json, params: JsonObject): Json | undefined {
  if (Array.isArray(template)) {
    const filled: Json[] = [];
    for (const item of template) {
      const value = fillJson(item, params);
      if (value !== undefined) filled.push(value);
    }
    return filled;
  }
  if (!isJsonObject(template)) return template;
  const name = parameterName(template);
  if (name !== null) return Object.hasOwn(params, name) ? params[name] : undefined;
  const filled: Record<string, Json> = {};
  for (const [member, value] of Object.entries(template)) {
    const inner = fillJson(value, params);
    if (inner !== undefined) filled[member] = inner;
  }
  return filled;
}

/**
 * The body bytes of checked parameters; null when one that it needs is missing or not of its kind. Values become
 * values: no text of an agent is ever parsed or spliced. JSON is written in its canonical form, so that equal
 * manifests send equal bytes.
 */
export function renderBody(body: BodyTemplate, params: JsonObject): Uint8Array | null {
  if ("json" in body) {
    const value = fillJson(jsonOf(body), params);
    return value === undefined ? null : utf8(canonicalJson(value));
  }
  if (body.form !== undefined) return utf8(renderForm(body.form, params));
  if (body.text !== undefined) {
    const text = scalarOf(body.text, params);
    return text === undefined ? null : utf8(text);
  }
  const encoded = scalarOf(body.bytes, params);
  return encoded === undefined ? null : fromBase64(encoded);
}

function renderForm(form: NonNullable<BodyTemplate["form"]>, params: JsonObject): string {
  const fields = new URLSearchParams();
  for (const name of Object.keys(form).sort()) {
    const parameter = parameterName(form[name]);
    const given = parameter === null ? form[name] : params[parameter];
    for (const value of [given].flat())
      if (value !== undefined && value !== null && typeof value !== "object")
        fields.append(name, String(value));
  }
  return fields.toString();
}

function scalarOf(value: unknown, params: JsonObject): string | undefined {
  const parameter = parameterName(value);
  const given = parameter === null ? value : params[parameter];
  return typeof given === "string" ? given : undefined;
}

function jsonOf(body: BodyTemplate): Json {
  return body.json as Json; // the yaml reader lets only JSON values through
}
