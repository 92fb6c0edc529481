import type { CoreExport, CoreSource, LinkPlan, LinkStep, NamespaceImport } from "./plan.ts";
import { fillerOf, type ImportName, type Shim, shimOf } from "./shim-modules.ts";

export interface LinkedCores {
  readonly cores: readonly Uint8Array[];
  readonly plan: LinkPlan;
}

/** A shim of a plan, with the step that fills its table and what stands behind each of its functions. */
interface FilledShim {
  readonly shim: number;
  readonly filler: number;
  /** By the shim's exported names. */
  readonly sources: ReadonlyMap<string, CoreSource>;
}

/**
 * The same component without its shims. A lowered import needs the memory of the module that imports it, so makers of
 * components put a table between the two: a shim, whose functions call through the table, and a module that fills the
 * table once the memory is there. A runner finds memories late and needs neither: two of three instances less in each
 * call. Only a shim of exactly this form, with the host behind all of its functions, is taken out; all else stays.
 */
export function withoutShims({ cores, plan }: LinkedCores): LinkedCores {
  let left = plan;
  for (let next = filledShim(cores, left); next !== null; next = filledShim(cores, left))
    left = withoutShim(next, left);
  const used = [...new Set(left.steps.map(({ module }) => module))];
  return {
    cores: used.flatMap((module) => cores[module] ?? []),
    plan: { ...left, steps: left.steps.map((step) => ({ ...step, module: used.indexOf(step.module) })) },
  };
}

function filledShim(cores: readonly Uint8Array[], plan: LinkPlan): FilledShim | null {
  for (const [index, { module, imports }] of plan.steps.entries()) {
    const core = cores[module];
    const shim = core === undefined || imports.length > 0 ? null : shimOf(core);
    const found = shim === null ? null : filled(index, shim, cores, plan);
    if (found !== null) return found;
  }
  return null;
}

function filled(index: number, shim: Shim, cores: readonly Uint8Array[], plan: LinkPlan): FilledShim | null {
  const users = [...plan.steps.keys()].filter((at) => mayUseTable(plan.steps[at], index, shim.table));
  const [step] = users;
  if (step === undefined || users.length > 1) return null;
  const { functions, canonical } = exportsUsed(plan);
  // The filler has no exports, and what the canonical ABI uses is no shim's: another plan is left to fail as it is.
  if (canonical.some(({ instance }) => instance === index || instance === step)) return null;
  const { module = -1, imports = [] } = plan.steps[step] ?? {};
  const core = cores[module];
  const filler = core === undefined ? null : fillerOf(core);
  if (filler === null || !isExport(given(imports, filler.table), { instance: index, name: shim.table }))
    return null;
  const sources = new Map<string, CoreSource>();
  for (const [name, { slot, type }] of shim.functions) {
    const behind = filler.functions.get(slot);
    // A call through the table traps where the types differ, so that shim has to stay.
    const source = behind?.type === type ? given(imports, behind) : null;
    if (source === null || source.from === "instance") return null;
    sources.set(name, source);
  }
  const linked = functions.every(
    ({ instance, name }) =>
      instance !== step && (instance !== index || name === shim.table || sources.has(name)),
  );
  return linked ? { shim: index, filler: step, sources } : null;
}

/** Whether a step is given the table, or the instance as a whole. */
function mayUseTable(step: LinkStep | undefined, instance: number, table: string): boolean {
  return (step?.imports ?? []).some((each) =>
    "instance" in each
      ? each.instance === instance
      : each.members.some(([, source]) => isExport(source, { instance, name: table })),
  );
}

/** What a module is given under these names; null when that is nothing. */
function given(imports: readonly NamespaceImport[], { namespace, name }: ImportName): CoreSource | null {
  const each = imports.find((one) => one.namespace === namespace);
  if (each === undefined) return null;
  if ("instance" in each) return { from: "instance", export: { instance: each.instance, name } };
  return each.members.find(([member]) => member === name)?.[1] ?? null;
}

function isExport(source: CoreSource | null, { instance, name }: CoreExport): boolean {
  return source?.from === "instance" && source.export.instance === instance && source.export.name === name;
}

/** Exports that a plan names one by one: given to modules, and used by the canonical ABI. */
function exportsUsed({ steps, execute, memory, realloc }: LinkPlan) {
  const functions: CoreExport[] = [];
  const canonical: CoreExport[] = [execute, memory, realloc];
  for (const { imports } of steps)
    for (const each of imports)
      for (const [, source] of "members" in each ? each.members : []) {
        if (source.from === "instance") functions.push(source.export);
        else if (source.from !== "denied")
          canonical.push(...[source.memory, source.realloc].filter((used) => used !== null));
      }
  return { functions, canonical };
}

/** The plan without the two steps, and with the host's functions where the shim's were. */
function withoutShim({ shim, filler, sources }: FilledShim, plan: LinkPlan): LinkPlan {
  const moved = ({ instance, name }: CoreExport): CoreExport => ({
    instance: instance - (instance > shim ? 1 : 0) - (instance > filler ? 1 : 0),
    name,
  });
  const movedOrNone = (used: CoreExport | null) => (used === null ? null : moved(used));
  const source = (old: CoreSource): CoreSource => {
    switch (old.from) {
      case "denied":
        return old;
      case "host":
        return { ...old, memory: moved(old.memory), realloc: movedOrNone(old.realloc) };
      case "wasi":
        return { ...old, memory: movedOrNone(old.memory), realloc: movedOrNone(old.realloc) };
      case "instance": {
        const behind = old.export.instance === shim ? sources.get(old.export.name) : undefined;
        return behind === undefined ? { from: "instance", export: moved(old.export) } : source(behind);
      }
    }
  };
  const steps = plan.steps.map(({ module, imports }) => ({
    module,
    imports: imports.map((each) =>
      "instance" in each
        ? { namespace: each.namespace, instance: moved({ instance: each.instance, name: "" }).instance }
        : {
            namespace: each.namespace,
            members: each.members.map(([name, old]) => [name, source(old)] as const),
          },
    ),
  }));
  return {
    steps: steps.filter((_, at) => at !== shim && at !== filler),
    execute: moved(plan.execute),
    memory: moved(plan.memory),
    realloc: moved(plan.realloc),
  };
}
