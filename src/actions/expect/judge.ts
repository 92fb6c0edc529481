import { canonicalJson } from "../../core/canonical-json.ts";
import type { ObservedEffect } from "../../core/effect.ts";
import { isJsonObject, type Json, type JsonObject } from "../../core/json.ts";
import { resolvePointer } from "../../core/json-pointer.ts";
import type { Plan } from "../../core/plan.ts";
import { fillJson } from "../body-template.ts";
import type { CompiledSchema } from "../json-schema.ts";
import type { Verify } from "../manifest-schema.ts";
import { contentOf, type HttpOutput, readHttpOutput } from "../output.ts";
import { databaseFaults } from "./database.ts";
import { fsFaults } from "./fs.ts";
import { httpFaults } from "./http.ts";
import { mailFaults } from "./mail.ts";
import { queueFaults } from "./queue.ts";
import { storageFaults } from "./storage.ts";

/**
 * - `verified`: the host saw exactly the planned effect, it met the manifest's expectation, the provider's account
 *   agrees.
 * - `verification_failed`: one of these is not so; `reasons` say which.
 * - `unverifiable_declared`: the manifest expects nothing, and nothing contradicts the plan.
 * - `rejected_response`: the remote body breaks the response schema; it must not be shown to the agent.
 */
export interface Verification {
  readonly outcome: "verified" | "verification_failed" | "unverifiable_declared" | "rejected_response";
  /** Lower case, without remote values; empty when there is nothing to say. */
  readonly reasons: readonly string[];
}

export interface Expectation {
  readonly verify: Verify;
  /** Null without a response schema. */
  readonly response: CompiledSchema | null;
}

/**
 * Judges what happened by the host's own record.
 *
 * @param raw the component's output as it came, not as shaped: its body is checked against the observed hash
 */
export function judge(
  expectation: Expectation,
  raw: Json,
  effects: readonly ObservedEffect[],
  plan: Plan,
  params: JsonObject,
): Verification {
  const { verify } = expectation;
  const output = plan.kind === "http" ? readHttpOutput(raw) : null;
  if (expectation.response !== null) {
    const [effect] = effects;
    const status = effect?.kind === "http" ? effect.status : (output?.status ?? null);
    // An answer with an unexpected status has a shape of its own: the schema is for the others.
    const rejected = statusExpected(verify, status) ? rejectedBody(expectation.response, output) : [];
    if (rejected.length > 0) return { outcome: "rejected_response", reasons: rejected };
  }
  if (verify.kind === "none" && effects.length === 0)
    return { outcome: "unverifiable_declared", reasons: [] };
  const reasons = effectFaults(effects, plan, raw, output, verify.kind === "none");
  if (verify.kind === "http" && plan.kind === "http") {
    const [effect] = effects;
    if (effect?.kind === "http" && !statusExpected(verify, effect.status))
      reasons.push(`the status ${effect.status ?? "is missing and"} was not expected`);
    reasons.push(...assertionFaults(verify, output, params));
  }
  if (verify.kind === "database") {
    const [effect] = effects;
    if (effect?.kind === "database")
      reasons.push(
        ...countFaults("rows came back", verify.rows, effect.rows),
        ...countFaults("rows were changed", verify.affected, effect.affected),
      );
  }
  if (reasons.length > 0) return { outcome: "verification_failed", reasons };
  return { outcome: verify.kind === "none" ? "unverifiable_declared" : "verified", reasons: [] };
}

function countFaults(
  what: string,
  wanted: { readonly min: number; readonly max?: number | undefined } | undefined,
  seen: number | null,
): readonly string[] {
  if (wanted === undefined) return [];
  if (seen !== null && seen >= wanted.min && seen <= (wanted.max ?? Number.MAX_SAFE_INTEGER)) return [];
  return [`${seen ?? "an unknown number of"} ${what}, which was not expected`];
}

function statusExpected(verify: Verify, status: number | null): boolean {
  if (status === null) return false;
  const listed = verify.kind === "http" ? verify.status : undefined;
  return listed?.includes(status) ?? (status >= 200 && status <= 299);
}

function rejectedBody(schema: CompiledSchema, output: HttpOutput | null): readonly string[] {
  if (output === null) return ["the provider reports no response body"];
  const content = contentOf(output);
  if ("base64" in content) return ["the response is neither json nor text"];
  const value = "json" in content ? content.json : content.text;
  return schema.accepts(value) ? [] : schema.explain(value);
}

/** Every effect against the plan: exactly one, complete, equal to the plan, and told as it was. */
function effectFaults(
  effects: readonly ObservedEffect[],
  plan: Plan,
  raw: Json,
  output: HttpOutput | null,
  claimsOptional: boolean,
): string[] {
  const faults: string[] = [];
  for (const effect of effects)
    if (effect.error !== null) faults.push(`a host call ended with ${effect.error}`);
  const [effect] = effects;
  if (effect === undefined) return ["no effect was observed"];
  if (effects.length > 1) faults.push("more than one effect was observed");
  if (effect.reached !== "confirmed") faults.push("the effect was not confirmed");
  faults.push(...kindFaults(effect, plan, raw, output, claimsOptional));
  return faults;
}

const OTHER_KIND = ["the observed effect is of another kind than the plan"];

/** What contradicts the plan in an effect of its own kind. */
function kindFaults(
  effect: ObservedEffect,
  plan: Plan,
  raw: Json,
  output: HttpOutput | null,
  claimsOptional: boolean,
): readonly string[] {
  switch (plan.kind) {
    case "http":
      return effect.kind === "http" ? httpFaults(effect, plan, raw, output) : OTHER_KIND;
    case "fs":
      return effect.kind === "fs" ? fsFaults(effect, plan, raw, claimsOptional) : OTHER_KIND;
    case "database":
      return effect.kind === "database" ? databaseFaults(effect, plan, raw) : OTHER_KIND;
    case "mail":
      return effect.kind === "mail" ? mailFaults(effect, plan, raw) : OTHER_KIND;
    case "queue":
      return effect.kind === "queue" ? queueFaults(effect, plan, raw) : OTHER_KIND;
    case "storage":
      return effect.kind === "storage" ? storageFaults(effect, plan, raw) : OTHER_KIND;
  }
}

function assertionFaults(verify: Verify, output: HttpOutput | null, params: JsonObject): string[] {
  if (verify.kind !== "http" || verify.assert.length === 0) return [];
  const content = output === null ? null : contentOf(output);
  if (content === null || !("json" in content))
    return ["the response is not json, so nothing in it can be asserted"];
  const faults: string[] = [];
  for (const assertion of verify.assert) {
    const found = resolvePointer(content.json, assertion.pointer);
    if (assertion.type !== undefined) {
      if (found === undefined || !hasType(found, assertion.type))
        faults.push(`${assertion.pointer} is not of type ${assertion.type}`);
      continue;
    }
    const wanted = fillJson(assertion.equals as Json, params); // part of a manifest, which came from JSON values
    // An optional parameter that was not given expects nothing.
    if (wanted !== undefined && (found === undefined || canonicalJson(found) !== canonicalJson(wanted)))
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
