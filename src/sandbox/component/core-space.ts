import { type Cursor, malformed, unsupported } from "./cursor.ts";
import type { CoreExport, CoreSource, NamespaceImport } from "./plan.ts";
import { at } from "./types.ts";

/** Makes a core instance of a module. */
export interface CoreStep {
  readonly module: Uint8Array;
  readonly imports: readonly NamespaceImport[];
}

type CoreInstance =
  | { readonly kind: "step"; readonly index: number }
  | { readonly kind: "bag"; readonly members: ReadonlyMap<string, CoreSource> };

const MOST_CORES = 32;
const MOST_INSTANCES = 256;

/** The core index spaces of one component (component-model Binary.md): modules, their instances, what those export. */
export class CoreSpace {
  readonly steps: CoreStep[] = [];
  readonly functions: CoreSource[] = [];
  readonly memories: CoreSource[] = [];
  private readonly modules: Uint8Array[] = [];
  private readonly tables: CoreSource[] = [];
  private readonly globals: CoreSource[] = [];
  private readonly instances: CoreInstance[] = [];

  module(body: Uint8Array): void {
    if (this.modules.length === MOST_CORES) throw unsupported(`more than ${MOST_CORES} core modules`);
    this.modules.push(body);
  }

  /** One item of a core instance section. */
  instance(from: Cursor): void {
    if (this.instances.length === MOST_INSTANCES)
      throw unsupported(`more than ${MOST_INSTANCES} core instances`);
    this.instances.push(this.readInstance(from));
  }

  /** An alias of a core instance's export, whose sort has been read. */
  alias(sort: number, from: Cursor): void {
    const instance = at(this.instances, from.u32());
    this.space(sort).push(memberOf(instance, from.name()));
  }

  private readInstance(from: Cursor): CoreInstance {
    const form = from.byte();
    if (form === 0x01) {
      const members = new Map<string, CoreSource>();
      from.vector(() => {
        const name = from.name();
        members.set(name, at(this.space(from.byte()), from.u32()));
      });
      return { kind: "bag", members };
    }
    if (form !== 0x00) throw malformed("a core instance has an unknown form");
    const module = at(this.modules, from.u32());
    const imports = from.vector((): NamespaceImport => {
      const namespace = from.name();
      from.expect(0x12, "an instance as argument");
      const given = at(this.instances, from.u32());
      return given.kind === "step"
        ? { namespace, instance: given.index }
        : { namespace, members: [...given.members] };
    });
    return { kind: "step", index: this.steps.push({ module, imports }) - 1 };
  }

  private space(sort: number): CoreSource[] {
    switch (sort) {
      case 0x00:
        return this.functions;
      case 0x01:
        return this.tables;
      case 0x02:
        return this.memories;
      case 0x03:
        return this.globals;
      default:
        throw unsupported("tags or types between core modules");
    }
  }
}

export function exportOf(source: CoreSource): CoreExport {
  if (source.from !== "instance") throw unsupported("a host function where one of its own belongs");
  return source.export;
}

function memberOf(instance: CoreInstance, name: string): CoreSource {
  if (instance.kind === "step") return { from: "instance", export: { instance: instance.index, name } };
  const source = instance.members.get(name);
  if (source === undefined) throw malformed("an alias of an export that is not there");
  return source;
}
