import type { JsonObject } from "../core/json.ts";
import { type PlanRefusal, refusePlan } from "./plan-result.ts";
import type { ParameterRef } from "./schema-parts.ts";

/** What sections have in common that name an endpoint of `[[connections.*]]`. */

export function connectionMissing(table: "smtp" | "amqp" | "s3", name: string): PlanRefusal {
  return refusePlan("connection_missing", `the gate's configuration has no ${table} connection ${name}`);
}

/** A text of the manifest, or that of a parameter; null without one, undefined for a value that is no text. */
export function textOf(
  given: string | ParameterRef | undefined,
  params: JsonObject,
): string | null | undefined {
  if (given === undefined || typeof given === "string") return given ?? null;
  const value = params[given.$param];
  if (value === undefined || value === null) return null;
  return typeof value === "string" ? value : undefined;
}
