import type { Cursor } from "./component/cursor.ts";
import type { IngestedComponent } from "./ingest.ts";
import { readSections, readVector, SECTION } from "./meter/sections.ts";

/** Pages of 64 KiB and elements of tables, at the start and at most; null where nothing is declared. */
interface ModuleLimits {
  readonly memory: { readonly startPages: number; readonly mostPages: number } | null;
  readonly tables: readonly { readonly start: number; readonly most: number }[];
}

/** What an operator wants to know of a component before its digest goes into a manifest. */
export interface ComponentDescription extends ModuleLimits {
  readonly digest: string;
  /** Interfaces of the world. */
  readonly imports: readonly string[];
  /** Functions of WASI that are linked and served. */
  readonly wasi: readonly string[];
  readonly exports: readonly string[];
  /** Core modules that run. */
  readonly modules: number;
  /** Of those modules, in bytes, as they run: metered. */
  readonly meteredBytes: number;
}

export function describeComponent(component: IngestedComponent): ComponentDescription {
  const { digest, imports, plan, cores } = component;
  const wasi = new Set<string>();
  for (const { imports: given } of plan.steps)
    for (const namespace of given)
      if ("members" in namespace)
        for (const [, source] of namespace.members) if (source.from === "wasi") wasi.add(source.function);
  return {
    digest,
    imports,
    wasi: [...wasi].sort(),
    exports: ["execute"],
    modules: cores.length,
    meteredBytes: cores.reduce((sum, core) => sum + core.byteLength, 0),
    ...limitsOf(cores),
  };
}

/** Of modules that have been through ingest, which wrote a limit to everything. */
function limitsOf(cores: readonly Uint8Array[]): ModuleLimits {
  let memory: ModuleLimits["memory"] = null;
  const tables: { start: number; most: number }[] = [];
  for (const core of cores) {
    const sections = readSections(core);
    readVector(sections.get(SECTION.memory) ?? EMPTY, (from) => {
      const { start, most } = limits(from);
      memory = { startPages: start, mostPages: most };
    });
    readVector(sections.get(SECTION.table) ?? EMPTY, (from) => {
      from.byte(); // the type of its elements
      tables.push(limits(from));
    });
  }
  return { memory, tables };
}

/** An empty vector. */
const EMPTY = Uint8Array.of(0);

function limits(from: Cursor): { readonly start: number; readonly most: number } {
  from.byte();
  return { start: from.u32(), most: from.u32() };
}
