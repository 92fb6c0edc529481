import type { JsonObject } from "./json.ts";
import { type DatabasePlan, databasePlanFromJson, databasePlanToJson } from "./plan/database.ts";
import { type EnvelopePlan, envelopePlanFromJson, envelopePlanToJson } from "./plan/envelope.ts";
import { type FsPlan, fsPlanFromJson, fsPlanToJson } from "./plan/fs.ts";
import { type HttpPlan, httpPlanFromJson, httpPlanToJson } from "./plan/http.ts";
import { type MailPlan, mailPlanFromJson, mailPlanToJson } from "./plan/mail.ts";
import { type QueuePlan, queuePlanFromJson, queuePlanToJson } from "./plan/queue.ts";
import { type StoragePlan, storagePlanFromJson, storagePlanToJson } from "./plan/storage.ts";
import { secretNames } from "./secret-binding.ts";

export type { DatabaseParameter, DatabasePlan, DatabaseTarget } from "./plan/database.ts";
export type { Endpoint } from "./plan/endpoint.ts";
export type { EnvelopePlan, EnvelopeTarget } from "./plan/envelope.ts";
export type { FsOperation, FsPlan } from "./plan/fs.ts";
export { type Header, HTTP_METHODS, type HttpMethod, type HttpPlan } from "./plan/http.ts";
export type { MailPlan, MailServer } from "./plan/mail.ts";
export type { QueuePlan } from "./plan/queue.ts";
export type { PlannedAssertion, ReadBackPlan } from "./plan/read-back.ts";
export type { StorageEndpoint, StoragePlan } from "./plan/storage.ts";

/**
 * The effect of one call, made before policy and never changed: policy judges it, an approver sees it and signs its
 * hash, the brokers refuse what differs from it. Every kind is exact but the envelope, whose component computes its own
 * requests within declared bounds. One file of `plan/` for each kind.
 */
export type Plan = ExactPlan | EnvelopePlan;

/** One effect, to the byte. */
export type ExactPlan = HttpPlan | FsPlan | DatabasePlan | MailPlan | QueuePlan | StoragePlan;

export const PLAN_KINDS = [
  "http",
  "fs",
  "database",
  "mail",
  "queue",
  "storage",
  "envelope",
] as const satisfies Plan["kind"][];
export type PlanKind = Plan["kind"];
export type PlanOf<K extends PlanKind> = Extract<Plan, { readonly kind: K }>;

/** What one execution may use. Part of what is hashed and granted. */
export interface CallLimits {
  /** From grant to receipt, milliseconds. */
  readonly timeoutMs: number;
  readonly fuel: number;
  readonly memoryMb: number;
  /** Host calls that the component may make; logging is not counted. */
  readonly ioCalls: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
}

/** Names of the secrets that a plan asks for, each once. */
export function secretsOf(plan: Plan): readonly string[] {
  switch (plan.kind) {
    case "http":
    case "envelope":
      return secretNames(plan.secrets);
    case "fs":
      return [];
    case "database":
    case "mail":
    case "queue":
    case "storage":
      return plan.secret === null ? [] : [plan.secret];
  }
}

/** Those without which a plan may not run; the others are left out when they are not granted, or not there. */
export function requiredSecretsOf(plan: Plan): readonly string[] {
  if (plan.kind !== "http" && plan.kind !== "envelope") return secretsOf(plan);
  return secretNames(plan.secrets.filter(({ required }) => required));
}

/** The plan as JSON: bytes as base64, members always present. The same plan always gives the same canonical text. */
export function planToJson(plan: Plan): JsonObject {
  switch (plan.kind) {
    case "http":
      return httpPlanToJson(plan);
    case "fs":
      return fsPlanToJson(plan);
    case "database":
      return databasePlanToJson(plan);
    case "mail":
      return mailPlanToJson(plan);
    case "queue":
      return queuePlanToJson(plan);
    case "storage":
      return storagePlanToJson(plan);
    case "envelope":
      return envelopePlanToJson(plan);
  }
}

type Stored =
  | ReturnType<typeof httpPlanToJson>
  | ReturnType<typeof fsPlanToJson>
  | ReturnType<typeof databasePlanToJson>
  | ReturnType<typeof mailPlanToJson>
  | ReturnType<typeof queuePlanToJson>
  | ReturnType<typeof storagePlanToJson>
  | ReturnType<typeof envelopePlanToJson>;

/**
 * Reads what {@link planToJson} wrote. The caller has checked the bytes against their signed commitment. Throws
 * TypeError for a kind that this build does not know.
 */
export function planFromJson(json: JsonObject): Plan {
  const stored = json as unknown as Stored; // written by planToJson, commitment checked by the caller
  switch (stored.kind) {
    case "http":
      return httpPlanFromJson(stored);
    case "fs":
      return fsPlanFromJson(stored);
    case "database":
      return databasePlanFromJson(stored);
    case "mail":
      return mailPlanFromJson(stored);
    case "queue":
      return queuePlanFromJson(stored);
    case "storage":
      return storagePlanFromJson(stored);
    case "envelope":
      return envelopePlanFromJson(stored);
    default:
      throw new TypeError("a stored plan of a kind that this build does not know");
  }
}
