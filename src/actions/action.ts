import type { ObservedEffect } from "../core/effect.ts";
import { LatchGateError } from "../core/errors.ts";
import type { HttpAnswer } from "../core/host-call.ts";
import type { Json, JsonObject } from "../core/json.ts";
import type { Connections } from "../core/plan/connections.ts";
import type { CallLimits, HttpPlan, Plan, PlanKind } from "../core/plan.ts";
import { type Checked, checkParameters } from "./check.ts";
import { judge, judgeEffect, type Verification } from "./expect/judge.ts";
import { answerFaults } from "./expect/read-back.ts";
import { type CompiledSchema, compileSchema } from "./json-schema.ts";
import type { ManifestSource } from "./manifest.ts";
import type { Manifest, RiskLevel } from "./manifest-schema.ts";
import { shapeOutput } from "./output.ts";
import { parametersOf } from "./parameters.ts";
import { planDatabase, type WrittenStatement, writtenStatement } from "./plan-database.ts";
import { planEnvelope } from "./plan-envelope.ts";
import { compilePathRules, planFs } from "./plan-fs.ts";
import { planHttp } from "./plan-http.ts";
import { planMail } from "./plan-mail.ts";
import { planQueue } from "./plan-queue.ts";
import type { PlanContext, Planned, PlanRefusal } from "./plan-result.ts";
import { compileKeys, planStorage } from "./plan-storage.ts";
import { egressHosts } from "./target-rules.ts";
import { renderTask } from "./task.ts";
import { parseUrlTemplate } from "./url-template.ts";
import { actionDetail, summaryRow } from "./wire.ts";

/** The components that the binary carries. */
export const BUILTIN_PROVIDERS = ["http_api", "fs", "database", "smtp", "queue", "storage"] as const;
export type BuiltinProvider = (typeof BUILTIN_PROVIDERS)[number];

/** What carries out the plan: an embedded component, or one that the operator brings, pinned by digest. */
export type ProviderRef =
  | { readonly kind: "builtin"; readonly name: BuiltinProvider; readonly ref: string }
  | { readonly kind: "component"; readonly digest: string; readonly ref: string };

/** Values of the manifest's `policy_params`; null for a parameter that the call does not have. */
export type PolicyParams = { readonly [name: string]: string | number | boolean | null };

export type PlanResult = (Planned & { readonly policyParams: PolicyParams }) | PlanRefusal;

/** One registered action: immutable, and free of side effects. */
export interface Action {
  readonly id: string;
  readonly version: string;
  readonly summary: string;
  readonly kind: PlanKind;
  readonly risk: { readonly level: RiskLevel; readonly because: string | null };
  readonly tags: readonly string[];
  readonly effects: readonly string[];
  readonly provider: ProviderRef;
  /** `sha256:` of the canonical, fully defaulted manifest. */
  readonly digest: string;
  readonly limits: CallLimits;
  readonly requiredScopes: readonly string[];
  readonly cost: { readonly cents: number };
  /** JSON Schema 2020-12, closed, as clients get it. */
  readonly paramsSchema: JsonObject;
  readonly responseSchema: JsonObject | null;
  /** Host patterns that the manifest lists, in its egress or its envelope. */
  readonly egressHosts: readonly string[];
  /** Names of its credentials. */
  readonly secrets: readonly { readonly name: string; readonly required: boolean }[];
  /** The endpoint of the configuration that it reaches; null for an action that reaches none. */
  readonly connection: { readonly kind: keyof Connections; readonly name: string } | null;
  readonly maxima: { readonly requestBytes: number; readonly responseBytes: number };
  /** Why this manifest may replace a stricter one; null when it does not. */
  readonly overrideReason: string | null;
  /** Where the manifest came from. */
  readonly source: { readonly file: string; readonly origin: string };
  /** Step "validate": parameters with defaults, or what is wrong with them. */
  check(body: JsonObject): Checked;
  /** SQL among checked parameters that has to be read before `plan`; null when there is none. */
  written(params: JsonObject, connections: Connections): WrittenStatement | null;
  /** Step "plan": the exact effect of checked parameters, or the envelope of what a component makes of them. */
  plan(params: JsonObject, context: PlanContext): PlanResult;
  /** The task text for the component; the same plan gives the same text. */
  task(plan: Plan): string;
  /** What the agent sees of a component's output. */
  shape(raw: Json): Json;
  /** Whether the effect is such that the plan's read-back may look for it. */
  mayReadBack(raw: Json, effects: readonly ObservedEffect[], plan: Plan, params: JsonObject): boolean;
  /** Whether an answer to the plan's read-back shows the effect. */
  readsBack(answer: HttpAnswer, plan: HttpPlan): boolean;
  /**
   * Judges the component's output as it came (not as shaped) and the host's record of it, with what the last read-back
   * brought.
   */
  expect(
    raw: Json,
    effects: readonly ObservedEffect[],
    plan: Plan,
    params: JsonObject,
    readBack: HttpAnswer | null,
  ): Verification;
  detail(): JsonObject;
  summaryRow(): JsonObject;
}

/** Makes an action of a manifest that `parseManifest` has accepted. */
export function createAction(manifest: Manifest, digest: string, source: ManifestSource): Action {
  const paramsSchema = manifest.params as JsonObject; // the yaml reader lets only JSON values through
  const responseSchema = (manifest.response.schema as JsonObject | undefined) ?? null; // as above
  const parameters = parametersOf(paramsSchema);
  const schema = compiled(paramsSchema, true, source);
  const response = responseSchema === null ? null : compiled(responseSchema, false, source);
  const limits = callLimits(manifest);
  const kind = kindOf(manifest);
  const planner = createPlanner(manifest);
  const expectation = { verify: manifest.verify, response };
  return Object.freeze<Action>({
    id: manifest.id,
    version: manifest.version,
    summary: manifest.summary,
    kind,
    risk: { level: manifest.risk.level, because: manifest.risk.because ?? null },
    tags: manifest.tags,
    effects: manifest.effects,
    provider: providerRef(manifest.provider),
    digest,
    limits,
    requiredScopes: manifest.required_scopes,
    cost: manifest.cost,
    paramsSchema,
    responseSchema,
    egressHosts: egressHosts(manifest),
    secrets: manifest.auth.map(({ secret, required }) => ({ name: secret, required })),
    connection: connectionOf(manifest),
    maxima: { requestBytes: limits.requestBytes, responseBytes: limits.responseBytes },
    overrideReason: manifest.override?.reason ?? null,
    source: { file: source.file, origin: source.origin },
    check: (body: JsonObject) => checkParameters(manifest, parameters, schema, body),
    written: (params: JsonObject, connections: Connections) =>
      manifest.database === undefined ? null : writtenStatement(manifest.database, params, connections),
    plan: (params: JsonObject, context: PlanContext): PlanResult => {
      const planned = planner(params, context);
      return planned.ok ? { ...planned, policyParams: policyParams(manifest, params) } : planned;
    },
    task: (plan: Plan) => renderTask(plan, limits.timeoutMs),
    shape: (raw: Json) => shapeOutput(kind, manifest.response.headers, raw),
    mayReadBack: (raw, effects, plan, params) =>
      judgeEffect(expectation, raw, effects, plan, params).outcome === "verified",
    readsBack: (answer, { readBack }) => readBack !== null && answerFaults(readBack, answer).length === 0,
    expect: (raw, effects, plan, params, readBack) =>
      judge(expectation, raw, effects, plan, params, readBack),
    detail: () => actionDetail(manifest, digest),
    summaryRow: () => summaryRow(manifest),
  });
}

/** The kind of plan that a manifest's one section makes. */
function kindOf(manifest: Manifest): PlanKind {
  if (manifest.http !== undefined) return "http";
  if (manifest.database !== undefined) return "database";
  if (manifest.fs !== undefined) return "fs";
  if (manifest.smtp !== undefined) return "mail";
  if (manifest.queue !== undefined) return "queue";
  if (manifest.storage !== undefined) return "storage";
  if (manifest.envelope !== undefined) return "envelope";
  throw unchecked("no section");
}

function connectionOf({ database, smtp, queue, storage }: Manifest): Action["connection"] {
  if (database !== undefined) return { kind: "database", name: database.connection };
  if (smtp !== undefined) return { kind: "mail", name: smtp.connection };
  if (queue !== undefined) return { kind: "queue", name: queue.connection };
  return storage === undefined ? null : { kind: "storage", name: storage.connection };
}

type Planner = (params: JsonObject, context: PlanContext) => Planned | PlanRefusal;

function createPlanner(manifest: Manifest): Planner {
  const { http, fs, database, smtp, queue, storage, envelope } = manifest;
  if (http !== undefined) {
    const template = parseUrlTemplate(http.url);
    if (!template.ok) throw unchecked(template.message);
    return (params, context) => planHttp(manifest, http, template.template, params, context);
  }
  if (database !== undefined) return (params, context) => planDatabase(manifest, database, params, context);
  if (smtp !== undefined) return (params, context) => planMail(manifest, smtp, params, context);
  if (queue !== undefined) return (params, context) => planQueue(manifest, queue, params, context);
  if (storage !== undefined) {
    const keys = compileKeys(storage);
    return (params, context) => planStorage(storage, keys, params, context);
  }
  if (envelope !== undefined) return (params, context) => planEnvelope(manifest, envelope, params, context);
  if (fs === undefined) throw unchecked("no section");
  const rules = compilePathRules(fs);
  return (params, context) => planFs(fs, rules, params, context);
}

/** At once, or at the first use where the tests have shown that it compiles: a gate starts with the whole catalogue. */
function compiled(
  schema: JsonObject,
  applyDefaults: boolean,
  { schemasChecked }: ManifestSource,
): CompiledSchema {
  const compile = () => {
    const result = compileSchema(schema, { applyDefaults });
    if (!result.ok) throw unchecked(result.message);
    return result.schema;
  };
  if (schemasChecked !== true) return compile();
  return {
    accepts: (value) => compile().accepts(value),
    explain: (value) => compile().explain(value),
  };
}

function unchecked(detail: string): LatchGateError {
  return new LatchGateError("manifest_invalid", `the manifest was not checked: ${detail}`);
}

function providerRef(ref: string): ProviderRef {
  const name = BUILTIN_PROVIDERS.find((known) => ref === `builtin:${known}`);
  if (name !== undefined) return { kind: "builtin", name, ref };
  return { kind: "component", digest: ref, ref };
}

function callLimits({ limits }: Manifest): CallLimits {
  return {
    timeoutMs: limits.timeout_s * 1000,
    fuel: limits.fuel,
    memoryMb: limits.memory_mb,
    ioCalls: limits.io_calls,
    requestBytes: limits.request_kb * 1024,
    responseBytes: limits.response_kb * 1024,
  };
}

function policyParams(manifest: Manifest, params: JsonObject): PolicyParams {
  const values: Record<string, string | number | boolean | null> = {};
  for (const name of manifest.policy_params) {
    const value = Object.hasOwn(params, name) ? params[name] : null;
    values[name] =
      typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : null;
  }
  return values;
}
