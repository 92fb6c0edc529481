import { readFileSync } from "node:fs";
import type { Registry } from "../actions/index.ts";
import { type Json, JsonError, parseJson } from "../core/json.ts";
import { defaultPolicyWasm } from "../policy/assets.ts";
import type { PolicyData, PolicyEngine } from "../policy/contract.ts";
import { parsePolicyData } from "../policy/data.ts";
import { checkPolicyData, type DataFinding } from "../policy/data-check.ts";
import { loadPolicy } from "../policy/engine.ts";
import { StartError } from "./start-error.ts";

/** The policy in force: the embedded rules with the data of the project folder. Throws {@link StartError}. */
export async function readPolicy(
  path: string,
): Promise<{ readonly engine: PolicyEngine; readonly data: PolicyData }> {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new StartError("policy_data_missing", `cannot read ${path}`, {
      hint: "write who may do what into it; docs/policy.md describes the format",
      cause,
    });
  }
  let data: Json;
  try {
    data = parseJson(bytes, { bytes: 16_777_216, depth: 32 });
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause;
    throw new StartError("policy_data_invalid", `${path} is not usable json: ${cause.message}`, {
      hint: "docs/policy.md describes the format",
      cause,
    });
  }
  return { engine: await loadPolicy({ wasm: await defaultPolicyWasm(), data }), data: parsePolicyData(data) };
}

/** What in the policy data does not fit the registered actions; advice, see `checkPolicyData`. */
export function policyFindings(data: PolicyData, registry: Registry): readonly DataFinding[] {
  const actions = registry.list().map(({ id, effects, risk }) => ({ id, effects, risk: risk.level }));
  return checkPolicyData(data, actions);
}

const MOST_REPORTED = 20;

/** One line for each, for the operator's log. */
export function reportFindings(findings: readonly DataFinding[], report: (line: string) => void): void {
  for (const { code, text } of findings.slice(0, MOST_REPORTED)) report(`policy data: ${text} (${code})`);
  if (findings.length > MOST_REPORTED)
    report(`policy data: ${findings.length - MOST_REPORTED} findings more; latchgate doctor lists all`);
}
