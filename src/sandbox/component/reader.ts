import { EXECUTE_SIGNATURE, type InterfaceName, interfaceOf, worldFunction } from "../wit/world.ts";
import { ComponentError, Cursor, malformed, unsupported } from "./cursor.ts";
import type { CoreExport, CoreSource, LinkPlan, LinkStep, NamespaceImport } from "./plan.ts";
import { at, type DeclaredType, readExternName, readExternType, readType } from "./types.ts";

export interface ComponentStructure {
  readonly cores: readonly Uint8Array[];
  readonly plan: LinkPlan;
  /** Interfaces of the world that the component imports. */
  readonly imports: readonly InterfaceName[];
}

/**
 * Reads a component (component-model Binary.md) as far as this world needs it: core modules, their instances, lowered
 * imports, one lifted export. Every index is checked here; that the parts fit each other is for the validator.
 * Throws {@link ComponentError}. An attacker may control the bytes.
 */
export function readComponent(bytes: Uint8Array): ComponentStructure {
  return new Reader().read(new Cursor(bytes));
}

const PREAMBLE = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00];
const MOST_CORES = 16;

type CoreInstance =
  | { readonly kind: "step"; readonly index: number }
  | { readonly kind: "bag"; readonly members: ReadonlyMap<string, CoreSource> };

type ComponentFunction =
  | { readonly kind: "imported"; readonly name: string }
  | {
      readonly kind: "lifted";
      readonly signature: string;
      readonly execute: CoreExport;
      readonly options: CanonOptions;
    };

interface CanonOptions {
  readonly memory: CoreExport | null;
  readonly realloc: CoreExport | null;
}

class Reader {
  private readonly cores: Uint8Array[] = [];
  private readonly steps: LinkStep[] = [];
  private readonly coreInstances: CoreInstance[] = [];
  private readonly coreFunctions: CoreSource[] = [];
  private readonly coreMemories: CoreSource[] = [];
  private readonly coreTables: CoreSource[] = [];
  private readonly coreGlobals: CoreSource[] = [];
  private readonly types: DeclaredType[] = [];
  private readonly instances: { readonly name: InterfaceName; readonly type: DeclaredType }[] = [];
  private readonly functions: ComponentFunction[] = [];
  private readonly imports = new Set<InterfaceName>();
  private exported: ComponentFunction | null = null;

  read(from: Cursor): ComponentStructure {
    for (const byte of PREAMBLE) from.expect(byte, "the preamble of a component (not of a core module)");
    while (!from.done) {
      const id = from.byte();
      const body = from.take(from.u32());
      this.section(id, new Cursor(body), body);
    }
    return { cores: this.cores, plan: this.plan(), imports: [...this.imports] };
  }

  private section(id: number, from: Cursor, body: Uint8Array): void {
    switch (id) {
      case 0:
        return; // custom: names and producers, which mean nothing to execution
      case 1:
        if (this.cores.length === MOST_CORES) throw unsupported(`more than ${MOST_CORES} core modules`);
        this.cores.push(body);
        return;
      case 2:
        from.vector(() => this.coreInstances.push(this.coreInstance(from)));
        break;
      case 6:
        from.vector(() => this.alias(from));
        break;
      case 7:
        from.vector(() => this.types.push(readType(from, this.types)));
        break;
      case 8:
        from.vector(() => this.canon(from));
        break;
      case 10:
        from.vector(() => this.import(from));
        break;
      case 11:
        from.vector(() => this.export(from));
        break;
      case 4:
      case 5:
        throw unsupported("nested components or instances");
      default:
        throw unsupported(`a section of kind ${id}`);
    }
    if (!from.done) throw malformed("a section is longer than its content");
  }

  private import(from: Cursor): void {
    const importName = readExternName(from);
    const described = readExternType(from, this.types);
    const name = interfaceOf(importName);
    if (name === null || described.sort !== "instance")
      throw new ComponentError("component_import_unknown", `the component imports ${quoted(importName)}`, {
        hint: "a provider may import the interfaces of latchgate:provider@0.1.0 and nothing else; build it without wasi",
      });
    if (described.type.kind !== "instance") throw malformed("an imported instance has another type");
    for (const [member, type] of described.type.exports) {
      if (type.kind === "value") continue;
      const declared = worldFunction(`${name}.${member}`);
      if (declared === undefined || type.kind !== "function")
        throw new ComponentError(
          "component_import_unknown",
          `the component imports ${quoted(`${name}.${member}`)}`,
        );
      if (type.signature !== declared.signature)
        throw new ComponentError(
          "component_signature_mismatch",
          `the component imports ${name}.${member} with another signature than the world declares`,
        );
    }
    this.imports.add(name);
    this.instances.push({ name, type: described.type });
  }

  private coreInstance(from: Cursor): CoreInstance {
    const form = from.byte();
    if (form === 0x01) {
      const members = new Map<string, CoreSource>();
      from.vector(() => {
        const name = from.name();
        members.set(name, at(this.coreSpace(from.byte()), from.u32()));
      });
      return { kind: "bag", members };
    }
    if (form !== 0x00) throw malformed("a core instance has an unknown form");
    const module = from.u32();
    at(this.cores, module);
    const imports = from.vector((): NamespaceImport => {
      const namespace = from.name();
      from.expect(0x12, "an instance as argument");
      const given = at(this.coreInstances, from.u32());
      return given.kind === "step"
        ? { namespace, instance: given.index }
        : { namespace, members: [...given.members] };
    });
    return { kind: "step", index: this.steps.push({ module, imports }) - 1 };
  }

  private coreSpace(sort: number): CoreSource[] {
    switch (sort) {
      case 0x00:
        return this.coreFunctions;
      case 0x01:
        return this.coreTables;
      case 0x02:
        return this.coreMemories;
      case 0x03:
        return this.coreGlobals;
      default:
        throw unsupported("tags or types between core modules");
    }
  }

  private alias(from: Cursor): void {
    const sort = from.byte();
    const coreSort = sort === 0x00 ? from.byte() : null;
    const target = from.byte();
    if (coreSort !== null && target === 0x01) {
      const instance = at(this.coreInstances, from.u32());
      this.coreSpace(coreSort).push(memberOf(instance, from.name()));
      return;
    }
    if (target !== 0x00 || coreSort !== null) throw unsupported("outer aliases");
    const instance = at(this.instances, from.u32());
    const name = from.name();
    const type = instance.type.kind === "instance" ? instance.type.exports.get(name) : undefined;
    if (type === undefined) throw malformed("an alias of an export that is not there");
    if (sort === 0x01 && type.kind === "function")
      this.functions.push({ kind: "imported", name: `${instance.name}.${name}` });
    else if (sort === 0x03 && type.kind === "value") this.types.push(type);
    else throw unsupported("an alias of this kind");
  }

  private canon(from: Cursor): void {
    const kind = from.byte();
    if (kind > 0x01) throw unsupported("resources, tasks or streams");
    from.expect(0x00, "a canonical function");
    if (kind === 0x00) {
      const execute = exportOf(at(this.coreFunctions, from.u32()));
      const options = this.canonOptions(from);
      const type = at(this.types, from.u32());
      if (type.kind !== "function") throw mismatch();
      this.functions.push({ kind: "lifted", signature: type.signature, execute, options });
      return;
    }
    const lowered = at(this.functions, from.u32());
    const { memory, realloc } = this.canonOptions(from);
    if (lowered.kind !== "imported") throw unsupported("lowering its own export");
    if (memory === null) throw malformed("a lowered function without memory");
    this.coreFunctions.push({ from: "host", function: lowered.name, memory, realloc });
  }

  private canonOptions(from: Cursor): CanonOptions {
    let memory: CoreExport | null = null;
    let realloc: CoreExport | null = null;
    from.vector(() => {
      switch (from.byte()) {
        case 0x00:
          return; // utf-8
        case 0x03:
          memory = exportOf(at(this.coreMemories, from.u32()));
          return;
        case 0x04:
          realloc = exportOf(at(this.coreFunctions, from.u32()));
          return;
        case 0x05:
          // A post-return function frees what the result took. An instance serves one call and is dropped with all
          // of its memory, so nobody could tell whether it had run; it never does.
          from.u32();
          return;
        default:
          throw unsupported("another string encoding than utf-8, or async functions");
      }
    });
    return { memory, realloc };
  }

  private export(from: Cursor): void {
    const name = readExternName(from);
    const sort = from.byte();
    if (name !== "execute" || sort !== 0x01)
      throw new ComponentError("component_export_unknown", `the component exports ${quoted(name)}`, {
        hint: "a provider exports the function execute and nothing else",
      });
    const exported = at(this.functions, from.u32());
    if (from.byte() === 0x01) readExternType(from, this.types);
    this.functions.push(exported);
    this.exported = exported;
  }

  private plan(): LinkPlan {
    if (this.exported === null)
      throw new ComponentError("component_export_missing", "the component does not export execute");
    if (this.exported.kind !== "lifted" || this.exported.signature !== EXECUTE_SIGNATURE) throw mismatch();
    const { execute, options } = this.exported;
    if (options.memory === null || options.realloc === null)
      throw malformed("execute is lifted without memory");
    return { steps: this.steps, execute, memory: options.memory, realloc: options.realloc };
  }
}

function memberOf(instance: CoreInstance, name: string): CoreSource {
  if (instance.kind === "step") return { from: "instance", export: { instance: instance.index, name } };
  const source = instance.members.get(name);
  if (source === undefined) throw malformed("an alias of an export that is not there");
  return source;
}

function exportOf(source: CoreSource): CoreExport {
  if (source.from !== "instance") throw unsupported("a host function where one of its own belongs");
  return source.export;
}

function mismatch(): ComponentError {
  return new ComponentError(
    "component_signature_mismatch",
    "execute has another signature than func(task-json: string) -> result<string, string>",
  );
}

/** Names come from the component: shown cut and quoted. */
function quoted(name: string): string {
  return JSON.stringify(name.length > 128 ? `${name.slice(0, 128)}…` : name);
}
