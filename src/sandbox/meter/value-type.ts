import { type Cursor, unsupported } from "../component/cursor.ts";
import type { ModuleSpace } from "./module-space.ts";

/** i32, i64, f32, f64, v128, funcref, externref, exnref. */
const VALUE_TYPES: ReadonlySet<number> = new Set([0x7f, 0x7e, 0x7d, 0x7c, 0x7b, 0x70, 0x6f, 0x69]);

/** Steps over a type of value; throws `ComponentError` for one that is not taken. */
export function valueType(from: Cursor): void {
  if (!VALUE_TYPES.has(from.byte())) throw unsupported("a type of value that is not known");
}

/** funcref, externref, exnref. */
export function isReferenceType(byte: number): boolean {
  return byte === 0x70 || byte === 0x6f || byte === 0x69;
}

/** Steps over the type of a block: nothing, one type of value, or the index of a function type. */
export function blockType(from: Cursor, space: ModuleSpace): void {
  const first = from.peek();
  if (first === 0x40 || VALUE_TYPES.has(first)) {
    from.byte();
    return;
  }
  // A signed LEB128 of 33 bits. All other negative ones are types that are not taken.
  if (first < 0x80 && first >= 0x40) throw unsupported("a block type that is not known");
  space.type(from.u32());
}
