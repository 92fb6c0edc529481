import { canonicalJson } from "../../core/canonical-json.ts";
import { isJsonObject, type Json, type JsonObject } from "../../core/json.ts";
import { resolvePointer } from "../../core/json-pointer.ts";
import type { PlannedAssertion } from "../../core/plan.ts";
import { fillJson } from "../body-template.ts";
import { contentOf, type HttpOutput } from "../output.ts";

/** Assertions as a manifest has them. */
export interface AssertionTemplate {
  readonly pointer: string;
  readonly equals?: unknown;
  readonly type?: string | undefined;
}

/** With the parameters' values in them. One that wants the value of a parameter that was not given expects nothing. */
export function filledAssertions(
  templates: readonly AssertionTemplate[],
  params: JsonObject,
): readonly PlannedAssertion[] {
  return templates.flatMap(({ pointer, type, equals }): PlannedAssertion[] => {
    if (type !== undefined) return [{ pointer, type }];
    const wanted = fillJson(equals as Json, params); // part of a manifest, which came from JSON values
    return wanted === undefined ? [] : [{ pointer, equals: wanted }];
  });
}

/** What of these is not so in a remote answer. Lines repeat no remote value. */
export function assertionFaults(
  assertions: readonly PlannedAssertion[],
  output: HttpOutput | null,
): readonly string[] {
  if (assertions.length === 0) return [];
  const content = output === null ? null : contentOf(output);
  if (content === null || !("json" in content))
    return ["the response is not json, so nothing in it can be asserted"];
  const faults: string[] = [];
  for (const assertion of assertions) {
    const found = resolvePointer(content.json, assertion.pointer);
    if ("type" in assertion) {
      if (found === undefined || !hasType(found, assertion.type))
        faults.push(`${assertion.pointer} is not of type ${assertion.type}`);
    } else if (found === undefined || canonicalJson(found) !== canonicalJson(assertion.equals))
      faults.push(`${assertion.pointer} does not have the expected value`);
  }
  return faults;
}

function hasType(value: Json, type: string): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return isJsonObject(value);
  if (type === "integer") return Number.isInteger(value);
  return typeof value === type;
}
