import { malformed } from "../component/cursor.ts";

/** How many of each thing a core module has, imported ones first, before anything is added to it. */
export interface Declared {
  readonly types: number;
  /** The start function, which takes and gives nothing. */
  readonly start: number | null;
  readonly importedFunctions: number;
  readonly functions: number;
  readonly globals: number;
  readonly tables: number;
  readonly tags: number;
  readonly memory: DeclaredMemory | null;
}

export interface DeclaredMemory {
  /** Another module of the component has it. */
  readonly imported: boolean;
  /** Pages that it starts with. */
  readonly least: number;
  /** Pages that it may grow to by its own word. */
  readonly most: number;
}

/** Imports of functions that metering adds, after those of the module: two, and two more for an imported memory. */
const ADDED_IMPORTS = 2;
const ADDED_FOR_MEMORY = 2;

/**
 * Indexes of a metered module. What is added stands behind what was there, so only functions that the module defines
 * get another index. Every index that the module uses goes through here: one beyond what the module declares would
 * mean something that metering has added, and is refused.
 */
export class ModuleSpace {
  readonly declared: Declared;

  constructor(declared: Declared) {
    this.declared = declared;
  }

  function(index: number): number {
    this.below(index, this.declared.functions, "function");
    return index < this.declared.importedFunctions ? index : index + this.addedImports;
  }

  type(index: number): number {
    return this.below(index, this.declared.types, "type");
  }

  global(index: number): number {
    return this.below(index, this.declared.globals, "global");
  }

  table(index: number): number {
    return this.below(index, this.declared.tables, "table");
  }

  tag(index: number): number {
    return this.below(index, this.declared.tags, "tag");
  }

  memory(index: number): number {
    return this.below(index, this.declared.memory === null ? 0 : 1, "memory");
  }

  get fuelGlobal(): number {
    return this.declared.globals;
  }

  get ownsMemory(): boolean {
    return this.declared.memory?.imported === false;
  }

  get importsMemory(): boolean {
    return this.declared.memory?.imported === true;
  }

  /** Pages as the guest sees them. Only with a memory of its own. */
  get pagesGlobal(): number {
    return this.declared.globals + 1;
  }

  get refillImport(): number {
    return this.declared.importedFunctions;
  }

  get growImport(): number {
    return this.declared.importedFunctions + 1;
  }

  /** What tells the size of an imported memory, and what grows it. Only with one. */
  get memorySizeImport(): number {
    return this.declared.importedFunctions + ADDED_IMPORTS;
  }

  get memoryGrowImport(): number {
    return this.declared.importedFunctions + ADDED_IMPORTS + 1;
  }

  /** The added functions stand behind the module's own. */
  added(which: number): number {
    return this.declared.functions + this.addedImports + which;
  }

  /** Index of an added type. */
  addedType(which: number): number {
    return this.declared.types + which;
  }

  private get addedImports(): number {
    return this.importsMemory ? ADDED_IMPORTS + ADDED_FOR_MEMORY : ADDED_IMPORTS;
  }

  private below(index: number, count: number, what: string): number {
    if (index >= count) throw malformed(`a ${what} that is not there`);
    return index;
  }
}
