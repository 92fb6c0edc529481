import { EXECUTE_SIGNATURE, type InterfaceName } from "../wit/world.ts";
import { ComponentReader } from "./component-reader.ts";
import { ComponentError, malformed } from "./cursor.ts";
import type { LiftedFunction } from "./definitions.ts";
import { unknownExport, wrongSignature } from "./faults.ts";
import { worldImports } from "./imports.ts";
import type { LinkPlan } from "./plan.ts";

export interface ComponentStructure {
  readonly cores: readonly Uint8Array[];
  readonly plan: LinkPlan;
  /** Interfaces of the world that the component imports. */
  readonly imports: readonly InterfaceName[];
}

/**
 * Reads a component (component-model Binary.md) as far as this world needs it: the component that lifts `execute`, be
 * it this one or one inside of it, with its core modules, their instances and lowered imports. Other components
 * inside are not read and never run. Every index is checked here; that the parts fit each other is for the validator.
 * Throws {@link ComponentError}. An attacker may control the bytes.
 */
export function readComponent(bytes: Uint8Array): ComponentStructure {
  const seen = new Set<InterfaceName>();
  const { functions } = ComponentReader.whole(worldImports(seen)).read(bytes);
  for (const name of functions.keys()) if (!EXPORTS.has(name)) throw unknownExport(name);
  const execute = functions.get("execute")?.();
  if (execute === undefined)
    throw new ComponentError("component_export_missing", "the component does not export execute");
  if (execute.kind !== "lifted" || execute.signature !== EXECUTE_SIGNATURE) throw wrongSignature();
  return { ...planOf(execute), imports: [...seen] };
}

/** `init` is what makers of JavaScript components start the engine with at build time; it is never called. */
const EXPORTS: ReadonlySet<string> = new Set(["execute", "init"]);

/** Core instances belong to one component: of the others nothing has to be made. */
function planOf({ core, execute, options }: LiftedFunction): { plan: LinkPlan; cores: Uint8Array[] } {
  const { memory, realloc } = options;
  if (memory === null || realloc === null) throw malformed("execute is lifted without memory");
  const cores: Uint8Array[] = [];
  const steps = core.steps.map(({ module, imports }) => {
    const known = cores.indexOf(module);
    return { module: known < 0 ? cores.push(module) - 1 : known, imports };
  });
  return { plan: { steps, execute, memory, realloc }, cores };
}
