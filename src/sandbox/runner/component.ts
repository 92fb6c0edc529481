import { GuestMemory, type Realloc } from "../abi/guest-memory.ts";
import { boundCore, PAGE_BYTES } from "../component/bounds.ts";
import type { CoreExport, CoreSource, LinkPlan, LinkStep } from "../component/plan.ts";
import { LEFT_EXPORT, MEMORY_EXPORTS, METER_NAMESPACE } from "../meter/additions.ts";
import { isServed, type WasiFunction } from "../wit/wasi.ts";
import { type WorldFunction, worldFunction } from "../wit/world.ts";

import type { MeterState } from "./meter-state.ts";

/** Makes the core functions behind lowered imports. */
export interface HostFunctions {
  world(declared: WorldFunction, memory: GuestMemory): Bun.WebAssembly.ExportValue;
  wasi(name: WasiFunction, memory: GuestMemory | null): Bun.WebAssembly.ExportValue;
  /** Ends the call when it is called. */
  denied(name: string): Bun.WebAssembly.ExportValue;
}

export interface ProviderInstance {
  readonly execute: Bun.WebAssembly.ExportValue;
  readonly memory: GuestMemory;
}

/** The compiled modules of one component, and how to make a fresh instance of it. */
export class LoadedComponent {
  private readonly plan: LinkPlan;
  private readonly cores: readonly Uint8Array[];
  /** By memory limit: the limit is part of the module. */
  private readonly compiled = new Map<number, readonly WebAssembly.Module[]>();

  constructor(plan: LinkPlan, cores: readonly Uint8Array[]) {
    this.plan = plan;
    this.cores = cores;
  }

  /** Runs the start functions of the guest's modules; what they throw comes through. */
  instantiate(memoryPages: number, host: HostFunctions, meter: MeterState): ProviderInstance {
    const modules = this.modules(memoryPages);
    const instances: WebAssembly.Instance[] = [];
    for (const step of this.plan.steps) {
      const instance = this.link(step, modules, instances, host, meter);
      const left = instance.exports[LEFT_EXPORT];
      if (typeof left !== "function") throw new TypeError("a core module is not metered");
      meter.joined(left as () => number); // of this signature in every module that the meter wrote
      instances.push(instance);
    }
    const memory = guestMemory(instances, this.plan.memory, this.plan.realloc);
    meter.started(memory.byteLength / PAGE_BYTES);
    return {
      execute: exported(instances, this.plan.execute),
      memory,
    };
  }

  private modules(memoryPages: number): readonly WebAssembly.Module[] {
    const known = this.compiled.get(memoryPages);
    if (known !== undefined) return known;
    const modules = this.cores.map(
      (core) => new WebAssembly.Module(Uint8Array.from(boundCore(core, { memoryPages }))),
    );
    this.compiled.set(memoryPages, modules);
    return modules;
  }

  private link(
    step: LinkStep,
    modules: readonly WebAssembly.Module[],
    instances: readonly WebAssembly.Instance[],
    host: HostFunctions,
    meter: MeterState,
  ): WebAssembly.Instance {
    const module = modules[step.module];
    if (module === undefined) throw new RangeError("the link plan names a module that is not there");
    // Names come from the component: objects without a prototype have no member that a name could meet.
    const imports: Record<string, Record<string, Bun.WebAssembly.ImportValue>> = Object.create(null);
    for (const given of step.imports) {
      if ("instance" in given) {
        imports[given.namespace] = exportsOf(instances, given.instance);
        continue;
      }
      const members: Record<string, Bun.WebAssembly.ImportValue> = Object.create(null);
      for (const [name, source] of given.members) members[name] = resolve(source, instances, host);
      imports[given.namespace] = members;
    }
    // Last, so that nothing a component gives its modules can stand in for the meter.
    imports[METER_NAMESPACE] = { refill: meter.refill, grow: meter.grow, ...sharedMemory(instances) };
    return new WebAssembly.Instance(module, imports);
  }
}

function resolve(
  source: CoreSource,
  instances: readonly WebAssembly.Instance[],
  host: HostFunctions,
): Bun.WebAssembly.ImportValue {
  switch (source.from) {
    case "instance":
      return exported(instances, source.export);
    case "denied":
      return host.denied(source.name);
    case "wasi": {
      if (!isServed(source.function))
        throw new RangeError("the link plan names a function of wasi that is not served");
      const { memory, realloc } = source;
      return host.wasi(source.function, memory === null ? null : guestMemory(instances, memory, realloc));
    }
    case "host": {
      const declared = worldFunction(source.function);
      if (declared === undefined)
        throw new RangeError("the link plan names a function that the world does not have");
      return host.world(declared, guestMemory(instances, source.memory, source.realloc));
    }
  }
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

function guestMemory(
  instances: readonly WebAssembly.Instance[],
  memory: CoreExport,
  realloc: CoreExport | null,
): GuestMemory {
  const found = exported(instances, memory);
  if (!(found instanceof WebAssembly.Memory)) throw new TypeError("the component exports no memory");
  if (realloc === null) return new GuestMemory(found, null);
  const take = exported(instances, realloc);
  if (typeof take !== "function") throw new TypeError("the component's realloc is not a function");
  return new GuestMemory(found, take as Realloc); // a function of the guest; what it answers is checked
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
