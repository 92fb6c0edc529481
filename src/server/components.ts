import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Action, Registry } from "../actions/index.ts";
import { LatchGateError } from "../core/errors.ts";
import { selfCommand } from "../core/self.ts";
import {
  childValidator,
  type IngestedComponent,
  ingestComponent,
  interfacesFor,
  loadBuiltins,
  type Sandbox,
} from "../sandbox/index.ts";

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
  const components = new Map<string, IngestedComponent>();
  for (const [name, component] of await loadBuiltins()) components.set(`builtin:${name}`, component);
  const validate = childValidator({ self: selfCommand, allowUnlocked });
  for (const action of registry.list()) {
    const { id, provider } = action;
    let component = components.get(provider.ref);
    if (component === undefined && provider.kind === "component") {
      const path = join(directory, `${provider.digest.slice("sha256:".length)}.wasm`);
      const bytes = readComponentFile(id, path);
      component = await ingestComponent({ bytes, pin: provider.digest, origin: "operator", validate });
      components.set(provider.ref, component);
    }
    if (component !== undefined) checkImports(action, component);
  }
  for (const component of components.values()) sandbox.register(component);
  return new Map([...components].map(([ref, { digest }]) => [ref, digest]));
}

function readComponentFile(id: string, path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new LatchGateError("component_missing", `${id} names a component that is not at ${path}`, {
      cause,
    });
  }
}

/** A component that could ask for more than its action's effect is not started for it, whatever the door would say. */
function checkImports({ id, kind }: Action, { imports }: IngestedComponent): void {
  const granted = interfacesFor(kind);
  const ungranted = imports.find((name) => !granted.includes(name));
  if (ungranted !== undefined)
    throw new LatchGateError(
      "component_import_not_granted",
      `the component of ${id} imports ${ungranted}, and an action of kind ${kind} grants ${granted.join(" and ")}`,
      { hint: "build a component for each kind of action, which imports what that one needs" },
    );
}
