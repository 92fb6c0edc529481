import { dirname } from "node:path";
import { loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { LatchGateError, messageOf } from "../core/errors.ts";
import { selfCommand } from "../core/self.ts";
import { examineRunner, LAYER_TEXT, LAYERS, probeLock } from "../sandbox/index.ts";
import type { IdentitySource } from "../secrets/identity.ts";
import { policyFindings, readPolicy } from "./policy.ts";
import type { projectPaths } from "./project-paths.ts";
import { readRegistry } from "./registry.ts";
import { connectionFindings, type Finding, secretFindings } from "./secret-checks.ts";

/** What one check found: that something is as it should be, or what is wrong with it and how badly. */
export interface CheckResult {
  readonly check: string;
  readonly level: "ok" | "warning" | "error";
  /** Stable. */
  readonly code: string;
  readonly text: string;
  readonly hint: string | null;
}

/** What a check may look at. */
export interface CheckContext {
  /** Null where there is no project: then only the machine is looked at. */
  readonly paths: ReturnType<typeof projectPaths> | null;
  /** Null when there is none or it does not load, which is a result of its own. */
  readonly config: Config | null;
  /** What opens the secrets file; asked for when there is one. */
  readonly identity: (config: Config) => Promise<IdentitySource>;
}

export interface Check {
  readonly name: string;
  /** What it throws is an error of the check. */
  run(context: CheckContext): Promise<readonly Omit<CheckResult, "check">[]>;
}

/** In the order in which they are shown. To add one: a function below and a line here. */
const CHECKS: readonly Check[] = [
  { name: "sandbox", run: checkSandbox },
  { name: "sandbox probe", run: checkProbe },
  { name: "policy data", run: checkPolicy },
  { name: "secrets", run: checkSecrets },
  { name: "connections", run: checkConnections },
];

/**
 * The rules that `serve` starts by, tried without starting; `further` ones are those that need more than the server
 * knows. Never throws for what it finds.
 */
export async function runChecks(
  paths: ReturnType<typeof projectPaths> | null,
  env: Readonly<Record<string, string | undefined>>,
  identity: CheckContext["identity"],
  further: readonly Check[] = [],
): Promise<readonly CheckResult[]> {
  const { config, result } = checkConfig(paths, env);
  const context = { paths, config, identity };
  const results: CheckResult[] = [result];
  for (const { name, run } of [...further, ...CHECKS])
    try {
      results.push(...(await run(context)).map((found) => ({ check: name, ...found })));
    } catch (error) {
      results.push({ check: name, ...failure(error) });
    }
  return results;
}

function failure(error: unknown): Omit<CheckResult, "check"> {
  const known = error instanceof LatchGateError ? error : null;
  return {
    level: "error",
    code: known?.code ?? "internal_error",
    text: messageOf(error),
    hint: known?.hint ?? null,
  };
}

/** That something is as it should be. */
export function good(text: string): Omit<CheckResult, "check"> {
  return { level: "ok", code: "ok", text, hint: null };
}

function checkConfig(
  paths: CheckContext["paths"],
  env: Readonly<Record<string, string | undefined>>,
): { readonly config: Config | null; readonly result: CheckResult } {
  const check = "config";
  if (paths === null) return { config: null, result: { check, ...good("no project here yet") } };
  try {
    return { config: loadConfig(paths.config, env), result: { check, ...good(paths.config) } };
  } catch (error) {
    return { config: null, result: { check, ...failure(error) } };
  }
}

/** A real runner, started as the gate does. */
async function checkSandbox({ config }: CheckContext): Promise<readonly Omit<CheckResult, "check">[]> {
  const missing = new Set(await examineRunner(selfCommand));
  return LAYERS.map((layer) =>
    missing.has(layer)
      ? {
          level: config?.sandbox.unsafe_unlocked === true ? "warning" : "error",
          code: "sandbox_layer_missing",
          text: `not in force: ${LAYER_TEXT[layer]}`,
          hint: "the gate does not start without it; docs/providers.md tells what it needs",
        }
      : good(LAYER_TEXT[layer]),
  );
}

async function checkProbe({ config }: CheckContext): Promise<readonly Omit<CheckResult, "check">[]> {
  const faults = await probeLock({ self: selfCommand, thorough: true });
  if (faults.length === 0)
    return [good("everything that throw-away runners tried was refused or their death")];
  return faults.map((text) => ({
    level: config?.sandbox.unsafe_unlocked === true ? "warning" : "error",
    code: "sandbox_layer_missing",
    text,
    hint: null,
  }));
}

async function checkPolicy({ paths, config }: CheckContext): Promise<readonly Omit<CheckResult, "check">[]> {
  if (paths === null || config === null) return [];
  const registry = await readRegistry(config, paths.actions);
  const findings = policyFindings((await readPolicy(paths.policyData)).data, registry);
  if (findings.length === 0) return [good(`fits the ${registry.list().length} registered actions`)];
  return findings.map(({ code, text }) => ({ level: "warning", code, text, hint: null }));
}

async function checkSecrets({ paths, config, identity }: CheckContext): Promise<readonly Finding[]> {
  if (paths === null || config === null) return [];
  const registry = await readRegistry(config, paths.actions);
  return secretFindings(config, dirname(paths.config), registry, () => identity(config));
}

async function checkConnections({ paths, config }: CheckContext): Promise<readonly Finding[]> {
  if (paths === null || config === null) return [];
  return connectionFindings(config, dirname(paths.config), await readRegistry(config, paths.actions));
}
