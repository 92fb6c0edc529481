/**
 * The instructions that a guest may use (WebAssembly core specification, 5.4): MVP, sign extension, saturating
 * conversions, bulk memory, reference types, multi-value, SIMD, tail calls, exceptions with `try_table`. What is not
 * listed is refused: garbage collection, typed references, atomics, legacy exceptions, relaxed SIMD.
 */
export const FORM = {
  refused: 0,
  plain: 1,
  block: 2,
  loop: 3,
  end: 4,
  label: 5,
  labelTable: 6,
  call: 7,
  callIndirect: 8,
  selectTyped: 9,
  local: 10,
  global: 11,
  table: 12,
  access: 13,
  memorySize: 14,
  memoryGrow: 15,
  i32: 16,
  i64: 17,
  f32: 18,
  f64: 19,
  heapType: 20,
  functionReference: 21,
  tryTable: 22,
  tag: 23,
  bulkPrefix: 24,
  vectorPrefix: 25,
} as const;

/** The form of each one-byte opcode: what follows it, and what is done with it. */
export const FORMS = formTable();

function formTable(): Uint8Array {
  const forms = new Uint8Array(256);
  const set = (form: number, from: number, to = from) => forms.fill(form, from, to + 1);
  set(FORM.plain, 0x00, 0x01);
  set(FORM.block, 0x02);
  set(FORM.loop, 0x03);
  set(FORM.block, 0x04); // if
  set(FORM.plain, 0x05); // else
  set(FORM.tag, 0x08); // throw
  set(FORM.plain, 0x0a); // throw_ref
  set(FORM.end, 0x0b);
  set(FORM.label, 0x0c, 0x0d);
  set(FORM.labelTable, 0x0e);
  set(FORM.plain, 0x0f); // return
  set(FORM.call, 0x10);
  set(FORM.callIndirect, 0x11);
  set(FORM.call, 0x12); // return_call
  set(FORM.callIndirect, 0x13); // return_call_indirect
  set(FORM.plain, 0x1a, 0x1b); // drop, select
  set(FORM.selectTyped, 0x1c);
  set(FORM.tryTable, 0x1f);
  set(FORM.local, 0x20, 0x22);
  set(FORM.global, 0x23, 0x24);
  set(FORM.table, 0x25, 0x26);
  set(FORM.access, 0x28, 0x3e);
  set(FORM.memorySize, 0x3f);
  set(FORM.memoryGrow, 0x40);
  set(FORM.i32, 0x41);
  set(FORM.i64, 0x42);
  set(FORM.f32, 0x43);
  set(FORM.f64, 0x44);
  set(FORM.plain, 0x45, 0xc4); // comparisons, arithmetic, conversions, sign extension
  set(FORM.heapType, 0xd0); // ref.null
  set(FORM.plain, 0xd1); // ref.is_null
  set(FORM.functionReference, 0xd2);
  set(FORM.bulkPrefix, 0xfc);
  set(FORM.vectorPrefix, 0xfd);
  return forms;
}

/** Bytes that follow a SIMD opcode of 0 to 255; its memory accesses have a memarg before them. */
export function vectorImmediate(opcode: number): { readonly access: boolean; readonly bytes: number } | null {
  if (opcode <= 11) return MEMORY_ACCESS;
  if (opcode === 12 || opcode === 13) return SIXTEEN_BYTES; // v128.const, i8x16.shuffle
  if (opcode >= 21 && opcode <= 34) return LANE;
  if (opcode >= 84 && opcode <= 91) return MEMORY_ACCESS_AND_LANE;
  if (opcode === 92 || opcode === 93) return MEMORY_ACCESS;
  return opcode <= 0xff ? NOTHING : null;
}

const NOTHING = { access: false, bytes: 0 };
const LANE = { access: false, bytes: 1 };
const SIXTEEN_BYTES = { access: false, bytes: 16 };
const MEMORY_ACCESS = { access: true, bytes: 0 };
const MEMORY_ACCESS_AND_LANE = { access: true, bytes: 1 };
