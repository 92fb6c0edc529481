import type { JsonObject } from "../core/json.ts";
import type { Header } from "../core/plan.ts";
import { parameterName } from "./body-template.ts";
import { isHeaderValue } from "./header-rules.ts";
import type { HttpSection } from "./manifest-schema.ts";

const USER_AGENT = "LatchGate";

/** Null when a value cannot stand in a header. In the order of their names, so that equal manifests send equal requests. */
export function renderHeaders(
  templates: HttpSection["headers"],
  contentType: string | null,
  params: JsonObject,
): readonly Header[] | null {
  const headers = new Map<string, string>([["user-agent", USER_AGENT]]);
  if (contentType !== null) headers.set("content-type", contentType);
  for (const [name, value] of Object.entries(templates)) {
    const parameter = parameterName(value);
    const given = parameter === null ? value : params[parameter];
    if (given === undefined || given === null) continue;
    if (typeof given === "object") return null;
    const text = String(given);
    if (!isHeaderValue(text)) return null;
    headers.set(name, text);
  }
  return [...headers].sort(([a], [b]) => (a < b ? -1 : 1));
}
