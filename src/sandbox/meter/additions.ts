import { ByteWriter } from "./byte-writer.ts";
import type { ModuleSpace } from "./module-space.ts";

/** Namespace of what metering imports, and prefix of what it exports. A module may use neither. */
export const METER_NAMESPACE = "latchgate:meter";
export const LEFT_EXPORT = `${METER_NAMESPACE}/left`;
/** The start function of a module that has one. Nothing else of the instance may be called before. */
export const START_EXPORT = `${METER_NAMESPACE}/start`;

/**
 * The module that has the memory exports these two; a module that imports the memory imports them, under their last
 * word, so that every module of a component sees one size.
 */
export const MEMORY_EXPORTS = ["memory-size", "memory-grow"] as const;

const I32 = 0x7f;
const EMPTY = 0x40;

/** Types, in the order of `ModuleSpace.addedType`. */
const TYPE = { i32ToI32: 0, grow: 1, nothing: 2, toI32: 3 } as const;
export const ADDED_TYPES: readonly (readonly number[])[] = [
  [0x60, 1, I32, 1, I32],
  [0x60, 4, I32, I32, I32, I32, 1, I32],
  [0x60, 0, 0],
  [0x60, 0, 1, I32],
];

/** Imports, with the index of their added type, in the order of `ModuleSpace.importAdded`. */
export function addedImports(
  space: ModuleSpace,
): readonly { readonly name: string; readonly type: number }[] {
  const imports = [
    { name: "refill", type: TYPE.i32ToI32 },
    { name: "grow", type: TYPE.grow },
  ];
  if (!space.importsMemory) return imports;
  const [size, grow] = MEMORY_EXPORTS;
  return [...imports, { name: size, type: TYPE.toI32 }, { name: grow, type: TYPE.i32ToI32 }];
}

/** Added functions, in the order of `ModuleSpace.added`. */
export const ADDED = { more: 0, bulk: 1, left: 2, grow: 3, size: 4 } as const;

/** What the module exports beside its own, with the index of the function. */
export function addedExports(space: ModuleSpace): readonly (readonly [name: string, index: number])[] {
  const always: (readonly [name: string, index: number])[] = [[LEFT_EXPORT, space.added(ADDED.left)]];
  const { start } = space.declared;
  if (start !== null) always.push([START_EXPORT, space.function(start)]);
  if (!space.ownsMemory) return always;
  const [size, grow] = MEMORY_EXPORTS;
  return [
    ...always,
    [`${METER_NAMESPACE}/${size}`, space.added(ADDED.size)],
    [`${METER_NAMESPACE}/${grow}`, space.added(ADDED.grow)],
  ];
}

/** The added types of the added functions; `grow` and `size` only where there is a memory of its own. */
export function addedFunctionTypes(space: ModuleSpace): readonly number[] {
  const types = [TYPE.nothing, TYPE.i32ToI32, TYPE.toI32];
  return space.ownsMemory ? [...types, TYPE.i32ToI32, TYPE.toI32] : types;
}

/** Bodies of the added functions, each with its locals. */
export function addedBodies(space: ModuleSpace): readonly Uint8Array[] {
  const bodies = [moreBody(space), bulkBody(space), readBody(space.fuelGlobal)];
  const { memory } = space.declared;
  if (memory === null || memory.imported) return bodies;
  return [...bodies, growBody(space, memory.most), readBody(space.pagesGlobal)];
}

/** The globals: fuel, which starts empty, so that a start function is charged as well, and the guest's pages. */
export function addedGlobals(space: ModuleSpace): readonly Uint8Array[] {
  const { memory } = space.declared;
  return memory === null || memory.imported ? [mutableI32(0)] : [mutableI32(0), mutableI32(memory.least)];
}

function mutableI32(value: number): Uint8Array {
  return code((to) => {
    to.append([I32, 0x01, 0x41]);
    to.i32(value);
    to.byte(0x0b);
  });
}

export interface Charge {
  readonly bytes: Uint8Array;
  /** Offset of the one byte that says how much. */
  readonly amountAt: number;
}

/** `fuel -= amount; if (fuel < 0) more()`. The amount is one byte of LEB128: 0 to 63. */
export function charge(space: ModuleSpace): Charge {
  let amountAt = 0;
  const bytes = code((to) => {
    get(to, space.fuelGlobal);
    to.byte(0x41);
    amountAt = to.size;
    to.append([0x00, 0x6b]); // i32.sub
    set(to, space.fuelGlobal);
    moreIfNegative(to, space);
  });
  return { bytes, amountAt };
}

/**
 * Asks the host for more. While it does, the counter holds a value that no charge leads to: should an exception come
 * out of the host (its stack may be exhausted, and a guest may catch that), the next charge traps for good.
 */
const ASKING = -(2 ** 29);
/** No charge is larger than 2^26, so an honest counter never falls below this. */
const LEAST_HONEST = -(2 ** 28);

function moreBody(space: ModuleSpace): Uint8Array {
  return code((to) => {
    to.append([1, 1, I32]);
    get(to, space.fuelGlobal);
    to.append([0x22, 0, 0x41]); // local.tee
    to.i32(LEAST_HONEST);
    to.byte(0x48); // i32.lt_s
    trapIf(to);
    to.byte(0x41);
    to.i32(ASKING);
    set(to, space.fuelGlobal);
    to.append([0x20, 0]);
    call(to, space.refillImport);
    to.append([0x22, 0]);
    set(to, space.fuelGlobal);
    to.append([0x20, 0, 0x41, 0, 0x48]);
    trapIf(to);
    to.byte(0x0b);
  });
}

/** Takes and gives the length of a bulk operation; charges one for each 64 of it. */
function bulkBody(space: ModuleSpace): Uint8Array {
  return code((to) => {
    to.byte(0);
    get(to, space.fuelGlobal);
    to.append([0x20, 0, 0x41, 6, 0x76, 0x6b]); // length >>> 6, subtracted
    set(to, space.fuelGlobal);
    moreIfNegative(to, space);
    to.append([0x20, 0, 0x0b]);
  });
}

function readBody(global: number): Uint8Array {
  return code((to) => {
    to.byte(0);
    get(to, global);
    to.byte(0x0b);
  });
}

/**
 * memory.grow. The engine copies a memory that grows, so a guest that grows by one page a thousand times would copy
 * gigabytes: the host says how many pages to really take (at least the double, up to the limit), and the guest sees
 * its own count. What is copied is charged as a bulk operation.
 */
function growBody(space: ModuleSpace, most: number): Uint8Array {
  const ask = (to: ByteWriter, delta: () => void) => {
    get(to, space.pagesGlobal);
    delta();
    to.append([0x3f, 0, 0x41]); // memory.size, i32.const
    to.i32(most);
    call(to, space.growImport);
  };
  return code((to) => {
    to.append([1, 1, I32]); // local 1: pages to have, then pages to take
    ask(to, () => to.append([0x20, 0]));
    to.append([0x22, 1, 0x41, 0, 0x48, 0x04, EMPTY, 0x41, 0x7f, 0x0f, 0x0b]); // refused: return -1
    to.append([0x20, 1, 0x3f, 0, 0x6b, 0x22, 1, 0x41, 0, 0x4a, 0x04, EMPTY]); // more than there is
    to.append([0x3f, 0, 0x41, 16, 0x74]); // memory.size << 16, in bytes; 65,536 pages would be 0
    call(to, space.added(ADDED.bulk));
    to.append([0x1a, 0x20, 1, 0x40, 0, 0x41, 0x7f, 0x46, 0x04, EMPTY]); // the engine has no memory left
    ask(to, () => to.append([0x41, 0x7f])); // more than any limit, so that the host knows
    to.append([0x0f, 0x0b, 0x0b]);
    get(to, space.pagesGlobal);
    get(to, space.pagesGlobal);
    to.append([0x20, 0, 0x6a]);
    set(to, space.pagesGlobal);
    to.byte(0x0b);
  });
}

function moreIfNegative(to: ByteWriter, space: ModuleSpace): void {
  get(to, space.fuelGlobal);
  to.append([0x41, 0, 0x48, 0x04, EMPTY]); // i32.const 0, i32.lt_s, if
  call(to, space.added(ADDED.more));
  to.byte(0x0b);
}

function trapIf(to: ByteWriter): void {
  to.append([0x04, EMPTY, 0x00, 0x0b]); // if unreachable end
}

function get(to: ByteWriter, global: number): void {
  to.byte(0x23);
  to.u32(global);
}

function set(to: ByteWriter, global: number): void {
  to.byte(0x24);
  to.u32(global);
}

function call(to: ByteWriter, index: number): void {
  to.byte(0x10);
  to.u32(index);
}

function code(write: (to: ByteWriter) => void): Uint8Array {
  const to = new ByteWriter(64);
  write(to);
  return to.window().slice();
}
