import digest from "../../policies/latchgate.digest.json" with { type: "json" };
import wasmPath from "../../policies/latchgate.wasm" with { type: "file" };
import { sha256Hex } from "../core/bytes.ts";
import { PolicyModuleError } from "./module.ts";

/** SHA-256 of the default policy's wasm and of its sources, lower-case hex, and the `opa` that compiled it. */
export const DEFAULT_POLICY: {
  readonly entrypoint: string;
  readonly opa: string;
  readonly sources: { readonly [file: string]: string };
  readonly wasm: string;
} = digest;

/**
 * The default policy, embedded in the binary. Throws {@link PolicyModuleError} with `policy_digest_mismatch` when it
 * is not the one that the digest names.
 */
export async function defaultPolicyWasm(): Promise<Uint8Array> {
  const wasm = await Bun.file(wasmPath).bytes();
  checkPolicyDigest(wasm);
  return wasm;
}

/** Throws {@link PolicyModuleError} unless these bytes are the committed default policy. */
export function checkPolicyDigest(wasm: Uint8Array): void {
  const actual = sha256Hex(wasm);
  if (actual !== DEFAULT_POLICY.wasm)
    throw new PolicyModuleError(
      "policy_digest_mismatch",
      `the default policy has digest ${actual}, expected ${DEFAULT_POLICY.wasm}`,
      { hint: "rebuild it with scripts/build-policy.ts" },
    );
}
