import type { Json, JsonObject } from "../core/json.ts";
import type { CompiledSchema } from "./json-schema.ts";
import type { Manifest } from "./manifest-schema.ts";
import type { Parameter } from "./parameters.ts";

export type Checked =
  | {
      readonly ok: true /** With defaults applied: what is hashed, planned and shown. */;
      readonly params: JsonObject;
    }
  | {
      readonly ok: false /** Short lines without the values; may be shown to the agent. */;
      readonly problems: readonly string[];
    };

/** Checks an agent's parameters against the schema of a manifest. The body itself is left as it is. */
export function checkParameters(
  manifest: Manifest,
  parameters: ReadonlyMap<string, Parameter>,
  schema: CompiledSchema,
  body: JsonObject,
): Checked {
  const most = manifest.limits.request_kb;
  if (Buffer.byteLength(JSON.stringify(body)) > most * 1024)
    return { ok: false, problems: [`the parameters are larger than ${most} kb`] };
  const params = structuredClone(withoutNulls(parameters, body));
  if (!schema.accepts(params)) return { ok: false, problems: schema.explain(params) };
  const content = manifest.fs?.content;
  const either = [content?.text?.$param, content?.base64?.$param].filter((name) => name !== undefined);
  if (either.length > 0 && either.filter((name) => Object.hasOwn(params, name)).length !== 1)
    return { ok: false, problems: [`give exactly one of ${either.join(", ")}`] };
  return { ok: true, params };
}

/**
 * Frameworks send an explicit null for an optional parameter that a model left out. For a parameter that may be
 * absent and may not be null it means just that; every other null stays, and is judged by the schema.
 */
function withoutNulls(parameters: ReadonlyMap<string, Parameter>, body: JsonObject): JsonObject {
  const kept: Record<string, Json> = {};
  for (const [name, value] of Object.entries(body)) {
    const parameter = parameters.get(name);
    const dropped = value === null && parameter !== undefined && !parameter.required && !parameter.nullable;
    if (!dropped) kept[name] = value;
  }
  return kept;
}
