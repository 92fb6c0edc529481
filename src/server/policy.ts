import { readFileSync } from "node:fs";
import { type Json, JsonError, parseJson } from "../core/json.ts";
import { defaultPolicyWasm } from "../policy/assets.ts";
import type { PolicyEngine } from "../policy/contract.ts";
import { loadPolicy } from "../policy/engine.ts";
import { StartError } from "./start-error.ts";

/** The policy in force: the embedded rules with the data of the project folder. Throws {@link StartError}. */
export async function readPolicy(path: string): Promise<PolicyEngine> {
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
  return loadPolicy({ wasm: await defaultPolicyWasm(), data });
}
