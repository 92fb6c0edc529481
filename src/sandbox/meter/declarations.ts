import { Cursor, malformed, unsupported } from "../component/cursor.ts";
import { METER_NAMESPACE } from "./additions.ts";
import { atMost } from "./limits.ts";
import type { Declared, DeclaredMemory } from "./module-space.ts";
import { readVector, SECTION } from "./sections.ts";
import { isReferenceType, valueType } from "./value-type.ts";

/** What a module declares, read from its sections. Throws `ComponentError`. An attacker may control every byte. */
export function readDeclarations(sections: ReadonlyMap<number, Uint8Array>): Declared {
  const vector = (kind: number, item: (from: Cursor) => void): number => {
    const body = sections.get(kind);
    return body === undefined ? 0 : readVector(body, item);
  };
  /** Types without parameters and results. */
  const bare = new Set<number>();
  let types = 0;
  vector(SECTION.type, (from) => {
    if (functionType(from) === 0) bare.add(types);
    types++;
  });
  const imported = { functions: 0, tables: 0, globals: 0 };
  const typeIndex = (from: Cursor): number => {
    const type = from.u32();
    if (type >= types) throw malformed("a type that is not there");
    return type;
  };
  /** Of each function, imported ones first. */
  const typeOf: number[] = [];
  let memory: DeclaredMemory | null = null;
  let memories = 0;
  const memoryOf = (from: Cursor, isImported: boolean) => {
    memory = memoryType(from, isImported);
    memories++;
  };
  const imports = vector(SECTION.import, (from) => {
    if (from.name().startsWith(METER_NAMESPACE)) throw unsupported("the namespace of the meter");
    from.name();
    switch (from.byte()) {
      case 0x00:
        typeOf.push(typeIndex(from));
        imported.functions++;
        return;
      case 0x01:
        table(from);
        imported.tables++;
        return;
      case 0x02:
        memoryOf(from, true);
        return;
      case 0x03:
        globalType(from);
        imported.globals++;
        return;
      default:
        throw unsupported("tags between core modules");
    }
  });
  const functions = imported.functions + vector(SECTION.function, (from) => typeOf.push(typeIndex(from)));
  const tables = imported.tables + vector(SECTION.table, table);
  vector(SECTION.memory, (from) => memoryOf(from, false));
  const tags = vector(SECTION.tag, (from) => {
    from.expect(0x00, "an exception");
    typeIndex(from);
  });
  const globals = imported.globals + countOf(sections.get(SECTION.global));
  if (memories > 1) throw unsupported("several memories");
  atMost("types", types, "types");
  atMost("imports", imports, "imports");
  atMost("functions", functions, "functions");
  atMost("globals", globals, "globals");
  atMost("tables", tables, "tables");
  atMost("exports", countOf(sections.get(SECTION.export)), "exports");
  const start = startOf(sections.get(SECTION.start));
  if (start !== null && !bare.has(typeOf[start] ?? -1))
    throw malformed("a start function that is not there, or has parameters or results");
  return { types, start, importedFunctions: imported.functions, functions, globals, tables, tags, memory };
}

function countOf(body: Uint8Array | undefined): number {
  return body === undefined ? 0 : new Cursor(body).count();
}

function startOf(body: Uint8Array | undefined): number | null {
  if (body === undefined) return null;
  const from = new Cursor(body);
  const start = from.u32();
  if (!from.done) throw malformed("a section is longer than its content");
  return start;
}

const MOST_VALUES = 1_000;

/** How many parameters and results it has. */
function functionType(from: Cursor): number {
  if (from.byte() !== 0x60) throw unsupported("types of garbage collection");
  let values = 0;
  for (const _ of ["parameters", "results"]) {
    const count = from.count();
    if (count > MOST_VALUES)
      throw unsupported(`a function with more than ${MOST_VALUES} parameters or results`);
    for (let left = count; left > 0; left--) valueType(from);
    values += count;
  }
  return values;
}

export function globalType(from: Cursor): void {
  valueType(from);
  if (from.byte() > 0x01) throw malformed("a global is neither constant nor variable");
}

function table(from: Cursor): void {
  if (!isReferenceType(from.byte())) throw unsupported("typed references or table initialisers");
  limits(from);
}

const MOST_PAGES = 65_536;

function memoryType(from: Cursor, imported: boolean): DeclaredMemory {
  const { least, most } = limits(from);
  return { imported, least, most: Math.min(most ?? MOST_PAGES, MOST_PAGES) };
}

function limits(from: Cursor): { readonly least: number; readonly most: number | null } {
  const flags = from.byte();
  if (flags > 0x01) throw unsupported("shared or 64-bit memories or tables");
  const least = from.u32();
  return { least, most: flags === 0x01 ? from.u32() : null };
}
