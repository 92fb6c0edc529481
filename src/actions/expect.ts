import { fromBase64, sha256Hex } from "../core/bytes.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import type { FsEffect, HttpEffect, ObservedEffect } from "../core/effect.ts";
import { isJsonObject, type Json, type JsonObject } from "../core/json.ts";
import { resolvePointer } from "../core/json-pointer.ts";
import type { FsPlan, HttpPlan, Plan } from "../core/plan.ts";
import { fillJson } from "./body-template.ts";
import type { CompiledSchema } from "./json-schema.ts";
import type { Verify } from "./manifest-schema.ts";
import { contentOf, type HttpOutput, readHttpOutput } from "./output.ts";

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
  const reasons = effectFaults(effects, plan, raw, output);
  if (verify.kind === "http" && plan.kind === "http") {
    const [effect] = effects;
    if (effect?.kind === "http" && !statusExpected(verify, effect.status))
      reasons.push(`the status ${effect.status ?? "is missing and"} was not expected`);
    reasons.push(...assertionFaults(verify, output, params));
  }
  if (reasons.length > 0) return { outcome: "verification_failed", reasons };
  return { outcome: verify.kind === "none" ? "unverifiable_declared" : "verified", reasons: [] };
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
): string[] {
  const faults: string[] = [];
  for (const effect of effects)
    if (effect.error !== null) faults.push(`a host call ended with ${effect.error}`);
  const [effect] = effects;
  if (effect === undefined) return ["no effect was observed"];
  if (effects.length > 1) faults.push("more than one effect was observed");
  if (effect.reached !== "confirmed") faults.push("the effect was not confirmed");
  if (effect.kind === "http" && plan.kind === "http") faults.push(...httpFaults(effect, plan, raw, output));
  else if (effect.kind === "fs" && plan.kind === "fs") faults.push(...fsFaults(effect, plan, raw));
  else faults.push("the observed effect is of another kind than the plan");
  return faults;
}

function httpFaults(effect: HttpEffect, plan: HttpPlan, raw: Json, output: HttpOutput | null): string[] {
  const faults: string[] = [];
  if (effect.method !== plan.method) faults.push("the observed method is not the planned one");
  if (effect.origin + effect.target !== plan.url) faults.push("the observed url is not the planned one");
  const hash = plan.body === null ? null : sha256Hex(plan.body);
  if (effect.requestHash !== hash) faults.push("the observed body is not the planned one");
  const claimed = isJsonObject(raw) ? raw.status : undefined;
  if (claimed !== undefined && claimed !== effect.status)
    faults.push("the provider reports another status than was observed");
  if (output !== null && sha256Hex(output.body) !== effect.responseHash)
    faults.push("the provider reports another body than was observed");
  return faults;
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

function fsFaults(effect: FsEffect, plan: FsPlan, raw: Json): string[] {
  const faults: string[] = [];
  const wants = (holds: boolean, fault: string) => {
    if (!holds) faults.push(fault);
  };
  wants(effect.operation === plan.operation, "the observed operation is not the planned one");
  wants(effect.path === plan.path, "the observed path is not the planned one");
  const claim = isJsonObject(raw) ? raw : {};
  const says = (member: string, hash: string | null) => hash !== null && claim[member] === `sha256:${hash}`;
  const { beforeHash, afterHash } = effect;
  wants(claim.ok === true && claim.path === plan.path, "the provider does not report success for the path");
  switch (plan.operation) {
    case "read": {
      const hash = afterHash ?? beforeHash;
      wants(
        hash !== null && (beforeHash === null || beforeHash === hash),
        "the host has no hash of what was read",
      );
      wants(says("hash", hash), "the provider reports another hash than was observed");
      const encoded = claim.content_base64;
      const content = typeof encoded === "string" ? fromBase64(encoded) : null;
      wants(
        content !== null && sha256Hex(content) === hash,
        "the provider reports other content than was read",
      );
      return faults;
    }
    case "create":
    case "overwrite": {
      const planned = plan.content === null ? null : sha256Hex(plan.content);
      wants(afterHash !== null && afterHash === planned, "the written content is not the planned one");
      wants(says("after_hash", afterHash), "the provider reports another hash than was observed");
      if (plan.operation === "create") wants(beforeHash === null, "the created file was there before");
      else wants(beforeHash !== null, "the host has no hash of the old content");
      break;
    }
    case "delete":
      wants(beforeHash !== null && afterHash === null, "the host has no hash of what was deleted");
      wants(claim.deleted === true, "the provider does not report the deletion");
  }
  if (plan.expectedBeforeHash !== null)
    wants(beforeHash === plan.expectedBeforeHash, "the old content is not the expected one");
  return faults;
}
