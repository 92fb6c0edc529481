import { messageOf } from "../core/errors.ts";
import { isJsonObject, type Json, type JsonObject, parseJson } from "../core/json.ts";
import { didYouMean } from "../core/suggest.ts";
import { quoted } from "./argv.ts";
import { UsageError } from "./exit-code.ts";

/** One parameter as it was typed. */
export type Word =
  | { readonly kind: "plain"; readonly name: string; readonly text: string }
  | { readonly kind: "json"; readonly name: string; readonly value: Json }
  | { readonly kind: "file"; readonly name: string; readonly path: string };

/** Splits `name=value`, `name:=json` and `name=@file` at the first `=`. */
export function readWord(word: string): Word {
  const at = word.indexOf("=");
  if (at < 1 || word.startsWith(":="))
    throw new UsageError(
      `${quoted(word)} is no parameter`,
      "write parameters as name=value, name:=json or name=@file",
    );
  const text = word.slice(at + 1);
  if (word[at - 1] === ":") {
    const name = word.slice(0, at - 1);
    return { kind: "json", name, value: readJsonText(text, name) };
  }
  const name = word.slice(0, at);
  return text.startsWith("@") ? { kind: "file", name, path: text.slice(1) } : { kind: "plain", name, text };
}

/** `--params`: a JSON object. */
export function readParams(text: string | Uint8Array): JsonObject {
  const value = readJsonText(text, "--params");
  if (!isJsonObject(value)) throw new UsageError("--params is not a json object");
  return value;
}

function readJsonText(text: string | Uint8Array, name: string): Json {
  try {
    return parseJson(text);
  } catch (cause) {
    throw new UsageError(
      `${name} is not valid json: ${messageOf(cause)}`,
      "quote it for the shell: name:='[1, 2]'",
    );
  }
}

/** Whether the action's schema decides what a word means. Text that can only be text needs none. */
export function needsSchema(word: Word): boolean {
  return word.kind === "file" || (word.kind === "plain" && LITERAL.test(word.text));
}

const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
const LITERAL = /^(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)$/;

/**
 * The call's parameters: `base` (from `--params`) and the words, each typed by the schema. Without a schema, and
 * where it leaves the type open or allows a string, a plain value is text. No name may come twice.
 * @param readFile gives the bytes behind `name=@file`
 */
export function buildParams(
  base: JsonObject,
  words: readonly Word[],
  schema: Json,
  readFile: (path: string) => Buffer,
): JsonObject {
  const params: Record<string, Json> = { ...base };
  for (const word of words) {
    if (word.name === "__proto__") throw new UsageError(`${quoted(word.name)} cannot be a parameter`);
    if (Object.hasOwn(params, word.name)) throw new UsageError(`${quoted(word.name)} is given twice`);
    params[word.name] =
      word.kind === "json" ? word.value : typed(word, propertyOf(schema, word.name), readFile);
  }
  return params;
}

function typed(
  word: Exclude<Word, { kind: "json" }>,
  property: JsonObject | null,
  readFile: (path: string) => Buffer,
): Json {
  if (word.kind === "plain") return typedText(word.name, word.text, property);
  const bytes = readFile(word.path);
  if (property?.contentEncoding === "base64") return bytes.toString("base64");
  if (property?.contentEncoding === "base64url") return bytes.toString("base64url");
  const text = bytes.toString("utf8");
  if (!Buffer.from(text, "utf8").equals(bytes))
    throw new UsageError(`${quoted(word.path)} is not utf-8 text, and ${quoted(word.name)} takes text`);
  const types = typesOf(property);
  // A file's text for a parameter that takes no text is JSON: a list, an object, a number.
  return types === null || types.has("string") ? text : readJsonText(text, word.name);
}

function typedText(name: string, text: string, property: JsonObject | null): Json {
  const types = typesOf(property);
  if (types === null || types.has("string")) return text;
  if (types.has("boolean") && (text === "true" || text === "false")) return text === "true";
  if (types.has("null") && text === "null") return null;
  if (NUMBER.test(text)) {
    const value = readJsonText(text, name);
    if (types.has("number") || (types.has("integer") && Number.isInteger(value))) return value;
  }
  const wanted = [...types].join(" or ");
  const complex = types.has("array") || types.has("object");
  throw new UsageError(
    `${quoted(name)} takes ${wanted}, and ${quoted(text)} is none`,
    complex ? `write it as json: ${name}:='…'` : undefined,
  );
}

/** The schema of one property; null when the schema says nothing of it. Throws when it allows no such property. */
function propertyOf(schema: Json, name: string): JsonObject | null {
  if (!isJsonObject(schema) || !isJsonObject(schema.properties)) return null;
  const properties = schema.properties;
  const property = Object.hasOwn(properties, name) ? properties[name] : undefined;
  if (isJsonObject(property)) return property;
  if (
    property === undefined &&
    schema.additionalProperties === false &&
    schema.patternProperties === undefined
  ) {
    const near = didYouMean(name, Object.keys(properties));
    throw new UsageError(
      `the action has no parameter ${quoted(name)}`,
      near === undefined ? `it takes: ${Object.keys(properties).join(", ")}` : `did you mean ${near}?`,
    );
  }
  return null;
}

/** JSON types that the schema allows (`type`, `const`, `enum`, one level of `anyOf` and `oneOf`); null when open. */
function typesOf(property: JsonObject | null, nested = false): ReadonlySet<string> | null {
  if (property === null) return null;
  const type = property.type;
  if (typeof type === "string") return new Set([type]);
  if (Array.isArray(type)) return new Set(type.filter((name) => typeof name === "string"));
  if (property.const !== undefined) return new Set([typeName(property.const)]);
  if (Array.isArray(property.enum)) return new Set(property.enum.map(typeName));
  const branches = property.anyOf ?? property.oneOf;
  if (nested || !Array.isArray(branches)) return null;
  const types = new Set<string>();
  for (const branch of branches) {
    const allowed = isJsonObject(branch) ? typesOf(branch, true) : null;
    if (allowed === null) return null;
    for (const name of allowed) types.add(name);
  }
  return types;
}

function typeName(value: Json): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}
