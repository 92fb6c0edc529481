import { CoreSpace, exportOf } from "./core-space.ts";
import { Cursor, malformed, unsupported } from "./cursor.ts";
import {
  aliasOf,
  type CanonOptions,
  type ComponentInstance,
  type FunctionSource,
  instanceOf,
  type LiftedFunction,
  type Members,
  unreadInstance,
} from "./definitions.ts";
import { unknownExport, wrongSignature } from "./faults.ts";
import { type ImportSource, nestedImports } from "./imports.ts";
import type { CoreExport } from "./plan.ts";
import { at, type DeclaredType, readExternName, readExternType, readType } from "./types.ts";

const PREAMBLE = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00];
const MOST_COMPONENTS = 16;
const DEEPEST = 4;
/** In one index space of one component. */
const MOST_DEFINITIONS = 10_000;

/** A component inside of another, as yet unread. */
interface NestedComponent {
  readonly body: Uint8Array;
  /** Types of the component around it. */
  readonly outer: readonly DeclaredType[];
}

interface Surroundings {
  /** How many components may still be read; shared by all of one file. */
  readonly budget: { reads: number };
  readonly outer: readonly DeclaredType[];
  readonly depth: number;
}

/** Reads one component; see `readComponent`. */
export class ComponentReader {
  private readonly imports: ImportSource;
  private readonly around: Surroundings;
  private readonly core = new CoreSpace();
  private readonly types: DeclaredType[] = [];
  private readonly components: NestedComponent[] = [];
  private readonly instances: ComponentInstance[] = [];
  private readonly functions: FunctionSource[] = [];
  private readonly exports = {
    functions: new Map<string, FunctionSource>(),
    instances: new Map<string, ComponentInstance>(),
    types: new Map<string, DeclaredType>(),
  };

  private constructor(imports: ImportSource, around: Surroundings) {
    this.imports = imports;
    this.around = around;
  }

  static whole(imports: ImportSource): ComponentReader {
    return new ComponentReader(imports, { budget: { reads: MOST_COMPONENTS }, outer: [], depth: 0 });
  }

  /** What the component exports. */
  read(bytes: Uint8Array): Members {
    if (this.around.depth > DEEPEST || this.around.budget.reads-- === 0)
      throw unsupported(`more than ${MOST_COMPONENTS} components, or ${DEEPEST} in each other`);
    const from = new Cursor(bytes);
    for (const byte of PREAMBLE) from.expect(byte, "the preamble of a component (not of a core module)");
    while (!from.done) {
      const id = from.byte();
      const body = from.take(from.u32());
      this.section(id, new Cursor(body), body);
    }
    return this.exports;
  }

  private section(id: number, from: Cursor, body: Uint8Array): void {
    switch (id) {
      case 0:
        return; // custom: names and producers, which mean nothing to execution
      case 1:
        this.core.module(body);
        return;
      case 4:
        this.add(this.components, { body, outer: this.types });
        return;
      case 2:
        from.vector(() => this.core.instance(from));
        break;
      case 5:
        from.vector(() => this.add(this.instances, this.instance(from)));
        break;
      case 6:
        from.vector(() => this.alias(from));
        break;
      case 7:
        from.vector(() => this.add(this.types, readType(from, this.types)));
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
      default:
        throw unsupported(`a section of kind ${id}`);
    }
    if (!from.done) throw malformed("a section is longer than its content");
  }

  private add<T>(space: T[], item: T): void {
    if (space.length === MOST_DEFINITIONS)
      throw unsupported(`more than ${MOST_DEFINITIONS} definitions of a kind`);
    space.push(item);
  }

  private import(from: Cursor): void {
    const name = readExternName(from);
    const described = readExternType(from, this.types);
    const imported = this.imports(name, described.sort, described.type);
    if (imported.sort === "instance") this.add(this.instances, imported.instance);
    else if (imported.sort === "type") this.add(this.types, imported.type);
    else this.add(this.functions, () => imported.function);
  }

  private instance(from: Cursor): ComponentInstance {
    const form = from.byte();
    if (form === 0x01) {
      const members = {
        functions: new Map<string, FunctionSource>(),
        instances: new Map<string, ComponentInstance>(),
        types: new Map<string, DeclaredType>(),
      };
      from.vector(() => this.exported(readExternName(from), from, members));
      return instanceOf(members);
    }
    if (form !== 0x00) throw malformed("an instance has an unknown form");
    const { body, outer } = at(this.components, from.u32());
    const given = new Map<string, ComponentInstance>();
    from.vector(() => {
      const name = from.name();
      const members = { functions: new Map(), instances: new Map(), types: new Map() };
      this.exported(name, from, members);
      for (const [, instance] of members.instances) given.set(name, instance);
    });
    const { budget, depth } = this.around;
    return unreadInstance(() => {
      const nested = new ComponentReader(nestedImports(given), { budget, outer, depth: depth + 1 });
      return nested.read(body);
    });
  }

  /** What a sort and an index stand for, under this name. */
  private exported(name: string, from: Cursor, to: ComponentReader["exports"]): void {
    const sort = from.byte();
    if (sort === 0x00) from.expect(0x11, "a core module");
    const index = from.u32();
    switch (sort) {
      case 0x01:
        to.functions.set(name, at(this.functions, index));
        return;
      case 0x03:
        to.types.set(name, at(this.types, index));
        return;
      case 0x05:
        to.instances.set(name, at(this.instances, index));
        return;
      case 0x00:
      case 0x04:
        return; // components and modules: of use to other components only
      default:
        throw unsupported("values");
    }
  }

  private export(from: Cursor): void {
    const name = readExternName(from);
    const members = { functions: new Map(), instances: new Map(), types: new Map() };
    const sort = from.peek();
    if (this.around.depth === 0 && sort !== 0x01) throw unknownExport(name);
    this.exported(name, from, members);
    if (from.byte() === 0x01) readExternType(from, this.types);
    // What is exported has an index of its own from here on.
    for (const [, definition] of members.functions) {
      this.exports.functions.set(name, definition);
      this.add(this.functions, definition);
    }
    for (const [, definition] of members.instances) {
      this.exports.instances.set(name, definition);
      this.add(this.instances, definition);
    }
    for (const [, definition] of members.types) {
      this.exports.types.set(name, definition);
      this.add(this.types, definition);
    }
  }

  private alias(from: Cursor): void {
    const sort = from.byte();
    const coreSort = sort === 0x00 ? from.byte() : null;
    const target = from.byte();
    if (coreSort !== null && target === 0x01) {
      this.core.alias(coreSort, from);
      return;
    }
    if (target === 0x02 && sort === 0x03) {
      this.add(this.types, this.outerType(from.u32(), from.u32()));
      return;
    }
    if (target !== 0x00 || coreSort !== null) throw unsupported("outer aliases of this kind");
    const instance = at(this.instances, from.u32());
    const name = from.name();
    if (sort === 0x01) this.add(this.functions, () => instance.function(name));
    else if (sort === 0x03) this.add(this.types, instance.type(name));
    else if (sort === 0x05) this.add(this.instances, aliasOf(instance, name));
    else throw unsupported("an alias of this kind");
  }

  private outerType(levels: number, index: number): DeclaredType {
    if (levels === 0) return at(this.types, index);
    return levels === 1 ? at(this.around.outer, index) : { kind: "foreign" };
  }

  private canon(from: Cursor): void {
    switch (from.byte()) {
      case 0x00:
        this.lift(from);
        return;
      case 0x01:
        this.lower(from);
        return;
      case 0x02:
      case 0x03:
      case 0x04:
        // Of a resource, of which none can ever be made.
        from.u32();
        this.add(this.core.functions, { from: "denied", name: "a resource" });
        return;
      default:
        throw unsupported("tasks or streams");
    }
  }

  private lift(from: Cursor): void {
    from.expect(0x00, "a canonical function");
    const execute = exportOf(at(this.core.functions, from.u32()));
    const options = this.canonOptions(from);
    const type = at(this.types, from.u32());
    if (type.kind !== "function") throw wrongSignature();
    const lifted: LiftedFunction = {
      kind: "lifted",
      signature: type.signature,
      core: this.core,
      execute,
      options,
    };
    this.add(this.functions, () => lifted);
  }

  private lower(from: Cursor): void {
    from.expect(0x00, "a canonical function");
    const lowered = at(this.functions, from.u32())();
    const { memory, realloc } = this.canonOptions(from);
    switch (lowered.kind) {
      case "world":
        if (memory === null) throw malformed("a lowered function without memory");
        this.add(this.core.functions, { from: "host", function: lowered.name, memory, realloc });
        return;
      case "wasi":
        this.add(this.core.functions, { from: "wasi", function: lowered.name, memory, realloc });
        return;
      case "denied":
        this.add(this.core.functions, { from: "denied", name: lowered.name });
        return;
      case "lifted":
        if (lowered.core === this.core) throw unsupported("lowering its own export");
        this.add(this.core.functions, { from: "denied", name: "a function of a component inside" });
        return;
    }
  }

  private canonOptions(from: Cursor): CanonOptions {
    let memory: CoreExport | null = null;
    let realloc: CoreExport | null = null;
    from.vector(() => {
      switch (from.byte()) {
        case 0x00:
          return; // utf-8
        case 0x03:
          memory = exportOf(at(this.core.memories, from.u32()));
          return;
        case 0x04:
          realloc = exportOf(at(this.core.functions, from.u32()));
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
}
