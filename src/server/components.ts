import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Registry } from "../actions/index.ts";
import { LatchGateError } from "../core/errors.ts";
import { selfCommand } from "../core/self.ts";
import { childValidator, ingestComponent, loadBuiltins, type Sandbox } from "../sandbox/index.ts";

/**
 * Takes in every component that an action names: the built-in ones from the binary, an operator's from
 * `providers/<hex>.wasm` of the project folder. Gives the digest by provider reference.
 */
export async function loadComponents(
  registry: Registry,
  directory: string,
  sandbox: Sandbox,
  allowUnlocked: boolean,
): Promise<ReadonlyMap<string, string>> {
  const digests = new Map<string, string>();
  for (const [name, component] of await loadBuiltins()) {
    sandbox.register(component);
    digests.set(`builtin:${name}`, component.digest);
  }
  const validate = childValidator({ self: selfCommand, allowUnlocked });
  for (const { id, provider } of registry.list()) {
    if (provider.kind !== "component" || digests.has(provider.ref)) continue;
    const path = join(directory, `${provider.digest.slice("sha256:".length)}.wasm`);
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(path);
    } catch (cause) {
      throw new LatchGateError("component_missing", `${id} names a component that is not at ${path}`, {
        cause,
      });
    }
    const component = await ingestComponent({ bytes, pin: provider.digest, origin: "operator", validate });
    sandbox.register(component);
    digests.set(provider.ref, component.digest);
  }
  return digests;
}
