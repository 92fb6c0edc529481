import { sha256Hex } from "../../core/bytes.ts";
import type { HttpEffect } from "../../core/effect.ts";
import { isJsonObject, type Json } from "../../core/json.ts";
import type { HttpPlan } from "../../core/plan.ts";
import type { HttpOutput } from "../output.ts";

export function httpFaults(
  effect: HttpEffect,
  plan: HttpPlan,
  raw: Json,
  output: HttpOutput | null,
): string[] {
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
