import type { CoreSpace } from "./core-space.ts";
import { malformed, unsupported } from "./cursor.ts";
import type { CoreExport } from "./plan.ts";
import type { DeclaredType } from "./types.ts";

export type ComponentFunction =
  /** Of the world: `interface.function`. */
  | { readonly kind: "world"; readonly name: string }
  /** Of WASI as the sandbox serves it. */
  | { readonly kind: "wasi"; readonly name: string }
  /** Only its name is known: it is never called. */
  | { readonly kind: "denied"; readonly name: string }
  | LiftedFunction;

export interface LiftedFunction {
  readonly kind: "lifted";
  /** Null for a function of types that this world has no use for. */
  readonly signature: string | null;
  /** Of the component that it belongs to. */
  readonly core: CoreSpace;
  readonly execute: CoreExport;
  readonly options: CanonOptions;
}

export interface CanonOptions {
  readonly memory: CoreExport | null;
  readonly realloc: CoreExport | null;
}

/** What a function index stands for, found out when it is asked for. */
export type FunctionSource = () => ComponentFunction;

/**
 * An instance of a component, or what is imported as one. A component inside another is read only when a function of
 * it is asked for: what nothing asks for is not looked at.
 */
export interface ComponentInstance {
  /** Throws `component_malformed` when there is none, as do the others. */
  function(name: string): ComponentFunction;
  instance(name: string): ComponentInstance;
  type(name: string): DeclaredType;
  /** How many aliases lead here. */
  readonly depth: number;
}

export interface Members {
  readonly functions: ReadonlyMap<string, FunctionSource>;
  readonly instances: ReadonlyMap<string, ComponentInstance>;
  readonly types: ReadonlyMap<string, DeclaredType>;
}

const FOREIGN: DeclaredType = { kind: "foreign" };
const MOST_ALIASES = 16;

/** An instance whose members are known. */
export function instanceOf(members: Members): ComponentInstance {
  const deepest = [...members.instances.values()].reduce((most, { depth }) => Math.max(most, depth), 0);
  return {
    function: (name) => found(members.functions.get(name))(),
    instance: (name) => found(members.instances.get(name)),
    type: (name) => members.types.get(name) ?? FOREIGN,
    depth: bounded(deepest + 1),
  };
}

/** An instance whose members are read when somebody asks for one. */
export function unreadInstance(read: () => Members): ComponentInstance {
  let known: ComponentInstance | null = null;
  const instance = () => {
    known ??= instanceOf(read());
    return known;
  };
  return {
    function: (name) => instance().function(name),
    instance: (name) => instance().instance(name),
    // Types of another component matter to the validator alone.
    type: () => FOREIGN,
    depth: 0,
  };
}

/** The instance that another one exports. */
export function aliasOf(outer: ComponentInstance, name: string): ComponentInstance {
  return {
    function: (member) => outer.instance(name).function(member),
    instance: (member) => outer.instance(name).instance(member),
    type: () => FOREIGN,
    depth: bounded(outer.depth + 1),
  };
}

/** An instance of these types whose functions are made from their names. */
export function declaredInstance(
  type: DeclaredType,
  functionNamed: (member: string) => ComponentFunction,
): ComponentInstance {
  if (type.kind !== "instance") throw malformed("an imported instance has another type");
  const functions = new Map<string, FunctionSource>();
  for (const [member, declared] of type.exports)
    if (declared.kind === "function") functions.set(member, () => functionNamed(member));
  return instanceOf({ functions, instances: new Map(), types: type.exports });
}

function found<T>(item: T | undefined): T {
  if (item === undefined) throw malformed("an alias of an export that is not there");
  return item;
}

function bounded(depth: number): number {
  if (depth > MOST_ALIASES) throw unsupported(`more than ${MOST_ALIASES} aliases of each other`);
  return depth;
}
