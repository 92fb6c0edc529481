import Ajv2020, { type CodeOptions, type ErrorObject } from "ajv/dist/2020";
import { RE2JS } from "re2js";
import { fromBase64 } from "../core/bytes.ts";
import { messageOf } from "../core/errors.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { FORMATS } from "./formats.ts";

/**
 * JSON Schema 2020-12, strict: unknown keywords and formats are errors, formats and base64 encodings are asserted,
 * only members that an object itself has are seen. Patterns run on RE2, in time linear in the text: the texts are
 * an agent's.
 */
export interface CompiledSchema {
  /** Whether the value is valid. With `applyDefaults` the value is changed in place: pass a copy. */
  accepts(value: unknown): boolean;
  /** What is wrong with a value that was not accepted, at most five lines, without its values. */
  explain(value: unknown): readonly string[];
}

export type SchemaResult =
  | { readonly ok: true; readonly schema: CompiledSchema }
  | { readonly ok: false; readonly message: string };

const MOST_PROBLEMS = 5;
/** Naming every fault of a long list would make more text than the list. */
const EXPLAIN_ALL_BELOW = 16_384;

// Ajv keys compiled patterns by their text form: without toString, all patterns of a process would share the first.
const linearTime: NonNullable<CodeOptions["regExp"]> = Object.assign(
  (pattern: string) => {
    const compiled = RE2JS.compile(RE2JS.translateRegExp(pattern));
    return { test: (text: string) => compiled.test(text), toString: () => pattern };
  },
  { code: "linearTime" },
);

function makeAjv(applyDefaults: boolean, allErrors: boolean): Ajv2020 {
  const ajv = new Ajv2020({
    strict: true,
    strictRequired: false,
    allowUnionTypes: true,
    ownProperties: true,
    useDefaults: applyDefaults,
    allErrors,
    meta: false,
    validateSchema: false,
    addUsedSchema: false,
    inlineRefs: false,
    logger: false,
    formats: FORMATS,
    code: { regExp: linearTime },
  });
  ajv.removeKeyword("contentEncoding");
  ajv.addKeyword({
    keyword: "contentEncoding",
    type: "string",
    schemaType: "string",
    metaSchema: { const: "base64" },
    error: { message: "must be padded base64" },
    compile: () => (text: string) => fromBase64(text) !== null,
  });
  return ajv;
}

let metaSchema: Ajv2020 | null = null;

/**
 * Why a text is no JSON Schema 2020-12 by its meta-schema, or null. Compiling the meta-schema takes about a tenth
 * of a second, once: embedded manifests are checked by the tests, everything else when it is loaded.
 */
export function schemaFault(schema: JsonObject): string | null {
  metaSchema ??= new Ajv2020({ strict: true, logger: false });
  if (metaSchema.validateSchema(schema) === true) return null;
  return metaSchema.errorsText(metaSchema.errors, { dataVar: "schema" });
}

/** One compiler of each kind per process. */
const compilers = new Map<string, Ajv2020>();

function compiler(applyDefaults: boolean, allErrors: boolean): Ajv2020 {
  const key = `${applyDefaults} ${allErrors}`;
  const known = compilers.get(key);
  if (known !== undefined) return known;
  const made = makeAjv(applyDefaults, allErrors);
  compilers.set(key, made);
  return made;
}

/** What has been compiled, by the schema object itself: a manifest is checked first and used afterwards. */
const known = new WeakMap<JsonObject, SchemaResult>();

/**
 * Compiles a schema that the meta-schema accepts (see {@link schemaFault}), which must not change afterwards; a fault of the schema itself is a value. One schema object
 * is compiled one way only: parameters with defaults, responses without.
 */
export function compileSchema(schema: JsonObject, options: { applyDefaults: boolean }): SchemaResult {
  const before = known.get(schema);
  if (before !== undefined) return before;
  const result = compile(schema, options.applyDefaults);
  known.set(schema, result);
  return result;
}

function compile(schema: JsonObject, applyDefaults: boolean): SchemaResult {
  const build = (allErrors: boolean) => {
    const ajv = compiler(applyDefaults, allErrors);
    try {
      return ajv.compile(schema);
    } finally {
      ajv.removeSchema(schema); // else every reload would leave its schemas in the cache
    }
  };
  let quick: ReturnType<typeof build>;
  try {
    quick = build(false);
  } catch (cause) {
    return { ok: false, message: messageOf(cause).replace(/^strict mode: /, "") };
  }
  let thorough: typeof quick | null = null;
  return {
    ok: true,
    schema: {
      accepts: (value) => quick(value) === true,
      explain(value) {
        if (JSON.stringify(value).length < EXPLAIN_ALL_BELOW) thorough ??= build(true);
        const validate = thorough ?? quick;
        validate(value);
        const lines = (validate.errors ?? []).map(describe);
        return [...new Set(lines)].slice(0, MOST_PROBLEMS);
      },
    },
  };
}

/** The place and the rule. Member names come from the agent: shortened, and quoted as JSON. */
function describe(error: ErrorObject): string {
  const place = error.instancePath === "" ? "" : `${quoted(error.instancePath)}: `;
  const params: Record<string, Json> = error.params;
  switch (error.keyword) {
    case "additionalProperties":
    case "unevaluatedProperties":
      return `${place}unknown member ${quoted(String(params.additionalProperty ?? params.unevaluatedProperty))}`;
    case "required":
      return `${place}${quoted(String(params.missingProperty))} is required`;
    case "enum":
      return `${place}must be one of ${JSON.stringify(params.allowedValues).slice(0, 200)}`;
    case "pattern":
      return `${place}must match ${String(params.pattern).slice(0, 200)}`;
    default:
      return `${place}${error.message ?? error.keyword}`;
  }
}

function quoted(text: string): string {
  const short = text.length > 64 ? `${text.slice(0, 64)}…` : text;
  return /^[\w./-]+$/.test(short) ? short : JSON.stringify(short.toWellFormed());
}
