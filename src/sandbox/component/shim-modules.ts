import { ComponentError, Cursor, malformed } from "./cursor.ts";

/** A function type as its bytes, for comparison. */
export type FunctionType = string;

/** A module that only calls through a table of its own. */
export interface Shim {
  /** Name of the exported table. */
  readonly table: string;
  /** By exported name: the slot that is called, and the type of the function and of the call. */
  readonly functions: ReadonlyMap<string, { readonly slot: number; readonly type: FunctionType }>;
}

export interface ImportName {
  readonly namespace: string;
  readonly name: string;
}

/** A module that only puts functions which it imports into a table which it imports. */
export interface Filler {
  readonly table: ImportName;
  /** By slot. */
  readonly functions: ReadonlyMap<number, ImportName & { readonly type: FunctionType }>;
}

const FUNCREF = 0x70;
const SORT = { function: 0x00, table: 0x01 } as const;
const OP = { end: 0x0b, callIndirect: 0x11, localGet: 0x20, i32Const: 0x41 } as const;

/** Reads a core module as a shim; null for any that has anything else in it. */
export function shimOf(core: Uint8Array): Shim | null {
  return orNull(() => {
    const sections = sectionsOf(core, [1, 3, 4, 7, 10]);
    const types = functionTypes(sections);
    const declared = items(sections, 3, (from) => at(types, from.u32()));
    const tables = items(sections, 4, plainTable);
    const bodies = items(sections, 10, (from) => slotCalled(new Cursor(from.take(from.u32()))));
    const functions = new Map<string, { slot: number; type: FunctionType }>();
    const exportedTables: string[] = [];
    items(sections, 7, (from) => {
      const name = from.name();
      const sort = from.byte();
      const index = from.u32();
      if (sort === SORT.table) exportedTables.push(name);
      else if (sort !== SORT.function) throw otherForm();
      else {
        const own = at(declared, index);
        const called = at(bodies, index);
        if (at(types, called.type).bytes !== own.bytes || called.passed !== own.params) throw otherForm();
        functions.set(name, { slot: called.slot, type: own.bytes });
      }
    });
    const [table] = exportedTables;
    if (table === undefined || exportedTables.length > 1 || tables.length > 1) throw otherForm();
    return { table, functions };
  });
}

/** Reads a core module as the one that fills a shim's table; null for any that has anything else in it. */
export function fillerOf(core: Uint8Array): Filler | null {
  return orNull(() => {
    const sections = sectionsOf(core, [1, 2, 9]);
    const types = functionTypes(sections);
    const imported: (ImportName & { readonly type: FunctionType })[] = [];
    const tables: ImportName[] = [];
    items(sections, 2, (from) => {
      const named = { namespace: from.name(), name: from.name() };
      const sort = from.byte();
      if (sort === SORT.function) imported.push({ ...named, type: at(types, from.u32()).bytes });
      else if (sort === SORT.table) {
        plainTable(from);
        tables.push(named);
      } else throw otherForm();
    });
    const functions = new Map<number, ImportName & { readonly type: FunctionType }>();
    items(sections, 9, (from) => {
      // Active, of table 0, by indices of functions.
      from.expect(0x00, "another form");
      from.expect(OP.i32Const, "another form");
      const first = slotNumber(from);
      from.expect(OP.end, "another form");
      for (const [offset, index] of from.vector(() => from.u32()).entries())
        functions.set(first + offset, at(imported, index));
    });
    const [table] = tables;
    if (table === undefined || tables.length > 1) throw otherForm();
    return { table, functions };
  });
}

/** `local.get 0 … local.get n-1, i32.const slot, call_indirect type 0, end`, and nothing else. */
function slotCalled(from: Cursor): { slot: number; type: number; passed: number } {
  if (from.u32() !== 0) throw otherForm(); // locals
  let passed = 0;
  while (from.peek() === OP.localGet) {
    from.byte();
    if (from.u32() !== passed++) throw otherForm();
  }
  from.expect(OP.i32Const, "another form");
  const slot = slotNumber(from);
  from.expect(OP.callIndirect, "another form");
  const type = from.u32();
  if (from.u32() !== 0) throw otherForm();
  from.expect(OP.end, "another form");
  if (!from.done) throw otherForm();
  return { slot, type, passed };
}

/** A signed LEB128 that is not negative, of at most two bytes: no maker has more imports. */
function slotNumber(from: Cursor): number {
  const low = from.byte();
  if (low < 0x40) return low;
  const high = low < 0x80 ? 0x40 : from.byte();
  if (high >= 0x40) throw otherForm();
  return (low & 0x7f) + high * 128;
}

interface Type {
  readonly bytes: FunctionType;
  readonly params: number;
}

function functionTypes(sections: ReadonlyMap<number, Uint8Array>): readonly Type[] {
  return items(sections, 1, (from) => {
    const start = from.offset;
    from.expect(0x60, "another form");
    const params = from.vector(() => from.byte()).length;
    from.vector(() => from.byte());
    return { bytes: Buffer.from(from.between(start, from.offset)).toString("latin1"), params };
  });
}

function plainTable(from: Cursor): void {
  from.expect(FUNCREF, "another form");
  const hasMost = from.byte();
  if (hasMost > 0x01) throw otherForm();
  from.u32();
  if (hasMost === 0x01) from.u32();
}

/** Bodies by the kinds of their sections, of which there is none but these; custom ones mean nothing to execution. */
function sectionsOf(core: Uint8Array, kinds: readonly number[]): ReadonlyMap<number, Uint8Array> {
  const sections = new Map<number, Uint8Array>();
  const from = new Cursor(core);
  from.skip(8);
  while (!from.done) {
    const kind = from.byte();
    const body = from.take(from.u32());
    if (kind === 0) continue;
    if (!kinds.includes(kind) || sections.has(kind)) throw otherForm();
    sections.set(kind, body);
  }
  return sections;
}

/** The vector that a section is; empty for one that is not there. */
function items<T>(sections: ReadonlyMap<number, Uint8Array>, kind: number, item: (from: Cursor) => T): T[] {
  const body = sections.get(kind);
  if (body === undefined) return [];
  const from = new Cursor(body);
  const all = from.vector(() => item(from));
  if (!from.done) throw otherForm();
  return all;
}

function at<T>(all: readonly T[], index: number): T {
  const one = all[index];
  if (one === undefined) throw otherForm();
  return one;
}

function otherForm(): ComponentError {
  return malformed("a module of another form");
}

/** What cannot be read as this form is of another one; whether it is valid is for others to say. */
function orNull<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof ComponentError) return null;
    throw error;
  }
}
