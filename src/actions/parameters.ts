import { isJsonObject, type Json, type JsonObject } from "../core/json.ts";
import type { Finding } from "./load-problem.ts";
import { isInherited, PARAMETER_NAME } from "./names.ts";
import { unknownKey } from "./schema-parts.ts";

export type JsonType = "string" | "number" | "integer" | "boolean" | "null" | "object" | "array";

/** One parameter as the rest of a manifest may use it. */
export interface Parameter {
  readonly name: string;
  readonly schema: Json;
  /** The types that its schema allows; null when it allows any. */
  readonly types: ReadonlySet<JsonType> | null;
  readonly required: boolean;
  /** Whether a checked call always has it: required, or filled by a default. */
  readonly present: boolean;
  /** Whether an explicit null is a value of its own. */
  readonly nullable: boolean;
  /** Whether it can hold one value alone, and so needs no use. */
  readonly constant: boolean;
}

const SUBSCHEMAS = [
  "items",
  "additionalProperties",
  "contains",
  "propertyNames",
  "not",
  "if",
  "then",
  "else",
] as const;
const SUBSCHEMA_LISTS = ["allOf", "anyOf", "oneOf", "prefixItems"] as const;
const SUBSCHEMA_MAPS = ["properties", "$defs", "patternProperties", "dependentSchemas"] as const;

/**
 * A parameter schema with its defaults: an object with `properties` refuses unknown members unless it says
 * otherwise. Schemas inside combinators stay as they are: closing one branch would contradict another.
 */
export function closeSchema(schema: JsonObject): JsonObject {
  const closed: Record<string, Json> = { ...schema };
  const open =
    "additionalProperties" in schema ||
    "unevaluatedProperties" in schema ||
    "allOf" in schema ||
    "$ref" in schema;
  if (isJsonObject(schema.properties) && !open) closed.additionalProperties = false;
  for (const key of SUBSCHEMA_MAPS) {
    const map = schema[key];
    if (!isJsonObject(map)) continue;
    closed[key] = Object.fromEntries(
      Object.entries(map).map(([name, value]) => [name, closeIfObject(value)]),
    );
  }
  const items = schema.items;
  if (items !== undefined) closed.items = closeIfObject(items);
  return closed;
}

function closeIfObject(schema: Json): Json {
  return isJsonObject(schema) ? closeSchema(schema) : schema;
}

/** The whole `params` member with its defaults: an object, closed. */
export function closeParameters(schema: JsonObject): JsonObject {
  return closeSchema({ ...schema, properties: schema.properties ?? {} });
}

/** The declared parameters, in the order of their names. */
export function parametersOf(schema: JsonObject): ReadonlyMap<string, Parameter> {
  const properties = isJsonObject(schema.properties) ? schema.properties : {};
  const required = Array.isArray(schema.required) ? schema.required : [];
  const parameters = new Map<string, Parameter>();
  for (const name of Object.keys(properties).sort()) {
    const property = properties[name] ?? true;
    const isRequired = required.includes(name);
    const nullable = acceptsNull(property, schema, 0);
    parameters.set(name, {
      name,
      schema: property,
      types: typesOf(property, schema, 0),
      required: isRequired,
      present: isRequired || (isJsonObject(property) && "default" in property),
      nullable,
      constant: isJsonObject(property) && ("const" in property || isSingle(property.enum)),
    });
  }
  return parameters;
}

function isSingle(value: Json | undefined): boolean {
  return Array.isArray(value) && value.length === 1;
}

function resolved(schema: JsonObject, root: JsonObject): Json {
  const ref = schema.$ref;
  if (typeof ref !== "string") return true;
  const match = /^#\/\$defs\/([^/]+)$/.exec(ref);
  const defs = root.$defs;
  return (isJsonObject(defs) ? defs[match?.[1] ?? ""] : undefined) ?? true;
}

const DEEPEST_REF = 16;

function typesOf(schema: Json, root: JsonObject, depth: number): ReadonlySet<JsonType> | null {
  if (!isJsonObject(schema) || depth > DEEPEST_REF) return null;
  const type = schema.type;
  // The meta-schema holds `type` to these names; see compileSchema.
  if (typeof type === "string") return new Set([type as JsonType]);
  if (Array.isArray(type)) return new Set(type as JsonType[]); // as above
  const values = "const" in schema ? [schema.const ?? null] : schema.enum;
  if (Array.isArray(values)) return new Set(values.map(typeOf));
  if ("$ref" in schema) return typesOf(resolved(schema, root), root, depth + 1);
  return null;
}

function typeOf(value: Json): JsonType {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value as "string" | "boolean" | "object"; // what is left of Json
}

/** Whether null is among the values of a schema, as far as its text says; in doubt yes. */
function acceptsNull(schema: Json, root: JsonObject, depth: number): boolean {
  if (typeof schema === "boolean") return schema;
  if (!isJsonObject(schema) || depth > DEEPEST_REF) return true;
  const accepts = (sub: Json) => acceptsNull(sub, root, depth + 1);
  const types = schema.type;
  const { enum: values, anyOf, oneOf, allOf } = schema;
  if (schema.nullable !== true && types !== undefined && ![types].flat().includes("null")) return false;
  if (Array.isArray(values) && !values.includes(null)) return false;
  if ("const" in schema && schema.const !== null) return false;
  if (Array.isArray(anyOf) && !anyOf.some(accepts)) return false;
  if (Array.isArray(oneOf) && !oneOf.some(accepts)) return false;
  if (Array.isArray(allOf) && !allOf.every(accepts)) return false;
  return !("$ref" in schema) || accepts(resolved(schema, root));
}

/** Members of a schema that have no place in a manifest: what names other schemas, or costs more than its input. */
export function schemaFindings(schema: JsonObject, at: readonly (string | number)[]): Finding[] {
  const findings: Finding[] = [];
  walk(schema, at, (part, path) => {
    for (const key of [
      "$id",
      "$anchor",
      "$dynamicRef",
      "$dynamicAnchor",
      "$async",
      "$vocabulary",
      "nullable",
    ])
      if (key in part)
        findings.push({ path: [...path, key], message: `${key} is not supported in a manifest` });
    const dialect = part.$schema;
    if (dialect !== undefined && dialect !== "https://json-schema.org/draft/2020-12/schema")
      findings.push({ path: [...path, "$schema"], message: "only json schema 2020-12 is supported" });
    const ref = part.$ref;
    if (typeof ref === "string" && !/^#\/\$defs\/[^/~%]+$/.test(ref))
      findings.push({ path: [...path, "$ref"], message: "only references to #/$defs/<name> are supported" });
    const most = part.maxItems;
    // Comparing every pair takes time quadratic in a list whose length an agent chooses.
    if (part.uniqueItems === true && !(typeof most === "number" && most <= 1000))
      findings.push({
        path: [...path, "uniqueItems"],
        message: "uniqueItems needs maxItems of at most 1000",
      });
  });
  return findings;
}

/** Faults of the parameter list itself. */
export function parameterFindings(schema: JsonObject): Finding[] {
  const findings: Finding[] = [];
  if (schema.type !== "object") findings.push({ path: ["params", "type"], message: "must be object" });
  const properties = isJsonObject(schema.properties) ? schema.properties : {};
  for (const name of Object.keys(properties))
    if (!PARAMETER_NAME.test(name) || isInherited(name))
      findings.push({
        path: ["params", "properties", name],
        message: `${JSON.stringify(name.slice(0, 64))} cannot be the name of a parameter`,
      });
  for (const name of Array.isArray(schema.required) ? schema.required : [])
    if (typeof name === "string" && !Object.hasOwn(properties, name))
      findings.push({
        path: ["params", "required"],
        message: unknownKey(name, Object.keys(properties)).replace("unknown key", "unknown parameter"),
      });
  return findings;
}

function walk(
  schema: JsonObject,
  path: readonly (string | number)[],
  visit: (part: JsonObject, path: readonly (string | number)[]) => void,
): void {
  visit(schema, path);
  const descend = (value: Json | undefined, ...steps: (string | number)[]) => {
    if (isJsonObject(value)) walk(value, [...path, ...steps], visit);
  };
  for (const key of [...SUBSCHEMAS, "unevaluatedItems", "unevaluatedProperties"]) descend(schema[key], key);
  for (const key of SUBSCHEMA_LISTS) {
    const list = schema[key];
    if (Array.isArray(list)) for (const [i, value] of list.entries()) descend(value, key, i);
  }
  for (const key of SUBSCHEMA_MAPS) {
    const map = schema[key];
    if (isJsonObject(map)) for (const [name, value] of Object.entries(map)) descend(value, key, name);
  }
}
