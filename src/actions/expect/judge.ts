import { type ObservedEffect, withoutReadBacks } from "../../core/effect.ts";
import type { HttpAnswer } from "../../core/host-call.ts";
import type { Json, JsonObject } from "../../core/json.ts";
import type { ExactPlan, Plan } from "../../core/plan.ts";
import type { CompiledSchema } from "../json-schema.ts";
import type { Verify } from "../manifest-schema.ts";
import { contentOf, type HttpOutput, readHttpOutput } from "../output.ts";
import { assertionFaults, filledAssertions } from "./assertions.ts";
import { databaseFaults } from "./database.ts";
import { envelopeFaults } from "./envelope.ts";
import { fsFaults } from "./fs.ts";
import { httpFaults } from "./http.ts";
import { mailFaults } from "./mail.ts";
import { queueFaults } from "./queue.ts";
import { readBackFaults } from "./read-back.ts";
import { storageFaults } from "./storage.ts";

/**
 * - `verified`: the host saw exactly the planned effect, or of an envelope requests inside of it alone; all of it met
 *   the manifest's expectation, the provider's account agrees.
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
 * Judges what happened by the host's own record: the effect, and what the gate found when it looked for it.
 *
 * @param raw the component's output as it came, not as shaped: its body is checked against the observed hash
 * @param found what the last read-back brought; null without one
 */
export function judge(
  expectation: Expectation,
  raw: Json,
  effects: readonly ObservedEffect[],
  plan: Plan,
  params: JsonObject,
  found: HttpAnswer | null,
): Verification {
  const verification = judgeEffect(expectation, raw, effects, plan, params);
  const planned = plan.kind === "http" ? plan.readBack : null;
  if (planned === null || verification.outcome !== "verified") return verification;
  const reasons = readBackFaults(planned, found, effects);
  return reasons.length === 0 ? verification : { outcome: "verification_failed", reasons };
}

/** The same without what a read-back tells. */
export function judgeEffect(
  expectation: Expectation,
  raw: Json,
  observed: readonly ObservedEffect[],
  plan: Plan,
  params: JsonObject,
): Verification {
  const effects = withoutReadBacks(observed);
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
  const reasons =
    plan.kind === "envelope"
      ? [...envelopeFaults(effects, plan, verify)]
      : effectFaults(effects, plan, raw, output, verify.kind === "none");
  if (verify.kind === "http" && plan.kind === "http") {
    const [effect] = effects;
    if (effect?.kind === "http" && !statusExpected(verify, effect.status))
      reasons.push(`the status ${effect.status ?? "is missing and"} was not expected`);
    reasons.push(...assertionFaults(filledAssertions(verify.assert, params), output));
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
  plan: ExactPlan,
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
  plan: ExactPlan,
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
