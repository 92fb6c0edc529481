import { GuestMemory, type Realloc } from "../abi/guest-memory.ts";
import { boundCore, PAGE_BYTES } from "../component/bounds.ts";
import type { CoreExport, CoreSource, LinkPlan, LinkStep } from "../component/plan.ts";
import { LEFT_EXPORT, MEMORY_EXPORTS, METER_NAMESPACE, START_EXPORT } from "../meter/additions.ts";
import { isServed, type WasiFunction } from "../wit/wasi.ts";
import { WORLD_FUNCTIONS, type WorldFunction } from "../wit/world.ts";
import { promiseIntegration } from "./jspi.ts";
import type { MeterState } from "./meter-state.ts";

/** Makes the core functions behind lowered imports. Their memories are bound once every module is instantiated. */
export interface HostFunctions {
  /** @param index of the function in the world's list. */
  world(declared: WorldFunction, index: number, memory: GuestMemory): Bun.WebAssembly.ExportValue;
  wasi(name: WasiFunction, memory: GuestMemory | null): Bun.WebAssembly.ExportValue;
  /** Ends the call when it is called. */
  denied(name: string): Bun.WebAssembly.ExportValue;
}

export interface ProviderInstance {
  readonly execute: Bun.WebAssembly.ExportValue;
  readonly memory: GuestMemory;
}

type Imports = Record<string, Bun.WebAssembly.ImportValue>;

/** What one instantiation has made so far. */
interface Making {
  readonly host: HostFunctions;
  readonly instances: WebAssembly.Instance[];
  /** By the component's memories. */
  readonly memories: readonly GuestMemory[];
}

/** A memory with the function that allocates in it, as the canonical ABI uses them. */
interface MemorySource {
  readonly memory: CoreExport;
  readonly realloc: CoreExport | null;
}

type MakeImport = (making: Making) => Bun.WebAssembly.ImportValue;

/** A step of the plan with everything looked up that is the same in each call. */
interface PreparedStep {
  readonly module: number;
  readonly namespaces: readonly (
    | { readonly namespace: string; readonly instance: number }
    | { readonly namespace: string; readonly members: readonly (readonly [name: string, make: MakeImport])[] }
  )[];
}

interface CompiledCore {
  readonly module: WebAssembly.Module;
  /** Whether its memory is another instance's, whose size and growth it asks for. */
  readonly sharesMemory: boolean;
}

/** The compiled modules of one component, and how to make a fresh instance of it. */
export class LoadedComponent {
  private readonly plan: LinkPlan;
  private readonly cores: readonly Uint8Array[];
  private readonly steps: readonly PreparedStep[];
  /** The first is the one that `execute` uses. */
  private readonly memories: MemorySource[];
  /** By memory limit: the limit is part of the module. */
  private readonly compiled = new Map<number, readonly CompiledCore[]>();

  constructor(plan: LinkPlan, cores: readonly Uint8Array[]) {
    this.plan = plan;
    this.cores = cores;
    this.memories = [{ memory: plan.memory, realloc: plan.realloc }];
    this.steps = plan.steps.map((step) => this.prepared(step));
  }

  /**
   * Runs the start functions of the guest's modules, each before the next module is instantiated; what they throw
   * comes through.
   */
  async instantiate(memoryPages: number, host: HostFunctions, meter: MeterState): Promise<ProviderInstance> {
    const modules = this.modules(memoryPages);
    const instances: WebAssembly.Instance[] = [];
    const memories = this.memories.map(() => new GuestMemory());
    const making = { host, instances, memories };
    for (const step of this.steps) {
      const instance = instantiated(step, modules, making, meter);
      const left = instance.exports[LEFT_EXPORT];
      if (typeof left !== "function") throw new TypeError("a core module is not metered");
      meter.joined(left as () => number); // of this signature in every module that the meter wrote
      instances.push(instance);
      const start = instance.exports[START_EXPORT];
      if (start !== undefined) await promiseIntegration().promising(start)();
    }
    for (const [index, source] of this.memories.entries())
      memories[index]?.bind(memoryOf(instances, source.memory), reallocOf(instances, source.realloc));
    const [memory] = memories;
    if (memory === undefined) throw new TypeError("a component has a memory");
    meter.started(memory.byteLength / PAGE_BYTES);
    return { execute: exported(instances, this.plan.execute), memory };
  }

  private modules(memoryPages: number): readonly CompiledCore[] {
    const known = this.compiled.get(memoryPages);
    if (known !== undefined) return known;
    const modules = this.cores.map((core): CompiledCore => {
      const module = new WebAssembly.Module(Uint8Array.from(boundCore(core, { memoryPages })));
      return { module, sharesMemory: importsMemorySize(module) };
    });
    this.compiled.set(memoryPages, modules);
    return modules;
  }

  private prepared({ module, imports }: LinkStep): PreparedStep {
    return {
      module,
      namespaces: imports.map((given) =>
        "instance" in given
          ? given
          : {
              namespace: given.namespace,
              members: given.members.map(([name, source]) => [name, this.maker(source)] as const),
            },
      ),
    };
  }

  private maker(source: CoreSource): MakeImport {
    switch (source.from) {
      case "instance": {
        const from = source.export;
        return ({ instances }) => exported(instances, from);
      }
      case "denied": {
        const { name } = source;
        return ({ host }) => host.denied(name);
      }
      case "wasi": {
        const { function: name, memory, realloc } = source;
        if (!isServed(name))
          throw new RangeError("the link plan names a function of wasi that is not served");
        const at = memory === null ? null : this.memoryIndex({ memory, realloc });
        return ({ host, memories }) => host.wasi(name, at === null ? null : bindable(memories, at));
      }
      case "host": {
        const index = WORLD_FUNCTIONS.findIndex(({ name }) => name === source.function);
        const declared = WORLD_FUNCTIONS[index];
        if (declared === undefined)
          throw new RangeError("the link plan names a function that the world does not have");
        const at = this.memoryIndex(source);
        return ({ host, memories }) => host.world(declared, index, bindable(memories, at));
      }
    }
  }

  private memoryIndex({ memory, realloc }: MemorySource): number {
    const known = this.memories.findIndex(
      (one) => isSame(one.memory, memory) && isSame(one.realloc, realloc),
    );
    return known < 0 ? this.memories.push({ memory, realloc }) - 1 : known;
  }
}

function instantiated(
  { module, namespaces }: PreparedStep,
  modules: readonly CompiledCore[],
  making: Making,
  { refill, grow }: MeterState,
): WebAssembly.Instance {
  const compiled = modules[module];
  if (compiled === undefined) throw new RangeError("the link plan names a module that is not there");
  // Names come from the component: objects without a prototype have no member that a name could meet.
  const imports: Record<string, Imports> = Object.create(null);
  for (const given of namespaces) {
    if ("instance" in given) {
      imports[given.namespace] = exportsOf(making.instances, given.instance);
      continue;
    }
    const members: Imports = Object.create(null);
    for (const [name, make] of given.members) members[name] = make(making);
    imports[given.namespace] = members;
  }
  // Last, so that nothing a component gives its modules can stand in for the meter.
  imports[METER_NAMESPACE] = compiled.sharesMemory
    ? { refill, grow, ...sharedMemory(making.instances) }
    : { refill, grow };
  return new WebAssembly.Instance(compiled.module, imports);
}

function importsMemorySize(core: WebAssembly.Module): boolean {
  const names: readonly string[] = MEMORY_EXPORTS;
  return WebAssembly.Module.imports(core).some(
    ({ module, name }) => module === METER_NAMESPACE && names.includes(name),
  );
}

/** How a module that imports the memory asks for its size and growth: of the one instance that has it. */
function sharedMemory(
  instances: readonly WebAssembly.Instance[],
): Record<string, Bun.WebAssembly.ExportValue> {
  const shared: Record<string, Bun.WebAssembly.ExportValue> = {};
  for (const { exports } of instances)
    for (const name of MEMORY_EXPORTS) {
      const value = exports[`${METER_NAMESPACE}/${name}`];
      if (value !== undefined) shared[name] = value;
    }
  return shared;
}

function memoryOf(instances: readonly WebAssembly.Instance[], source: CoreExport): WebAssembly.Memory {
  const found = exported(instances, source);
  if (!(found instanceof WebAssembly.Memory)) throw new TypeError("the component exports no memory");
  return found;
}

function reallocOf(instances: readonly WebAssembly.Instance[], source: CoreExport | null): Realloc | null {
  if (source === null) return null;
  const take = exported(instances, source);
  if (typeof take !== "function") throw new TypeError("the component's realloc is not a function");
  return take as Realloc; // a function of the guest; what it answers is checked
}

function bindable(memories: readonly GuestMemory[], index: number): GuestMemory {
  const memory = memories[index];
  if (memory === undefined) throw new RangeError("the component has no such memory");
  return memory;
}

function isSame(one: CoreExport | null, other: CoreExport | null): boolean {
  return one?.instance === other?.instance && one?.name === other?.name;
}

function exported(
  instances: readonly WebAssembly.Instance[],
  { instance, name }: CoreExport,
): Bun.WebAssembly.ExportValue {
  const value = exportsOf(instances, instance)[name];
  if (value === undefined) throw new RangeError("the link plan names an export that is not there");
  return value;
}

function exportsOf(instances: readonly WebAssembly.Instance[], index: number): Bun.WebAssembly.Exports {
  const instance = instances[index];
  if (instance === undefined) throw new RangeError("the link plan names an instance that is not there");
  return instance.exports;
}
