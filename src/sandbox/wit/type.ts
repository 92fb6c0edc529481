/**
 * Component-model value types as this world uses them, each with its layout in linear memory
 * (component-model CanonicalABI.md, "Alignment", "Element Size"). `text` is a structural description: two types are
 * the same type when their texts are equal, whatever names their declarations gave them.
 */
export type WitType = Layout &
  (
    | { readonly kind: "bool" | "u8" | "u16" | "u32" | "u64" }
    | { readonly kind: "string" | "bytes" }
    | { readonly kind: "list"; readonly item: WitType }
    | { readonly kind: "record"; readonly fields: readonly WitField[] }
    | { readonly kind: "tuple"; readonly fields: readonly WitField[] }
    | { readonly kind: "enum"; readonly cases: readonly string[] }
    | { readonly kind: "option"; readonly some: WitType; readonly payload: number }
    | { readonly kind: "result"; readonly ok: WitType; readonly err: WitType; readonly payload: number }
  );

interface Layout {
  readonly text: string;
  /** Bytes in memory. */
  readonly size: number;
  /** A power of two, at most 8. */
  readonly align: number;
  /** Core values when passed as parameters. */
  readonly flat: number;
}

export interface WitField {
  /** Member of the JavaScript value: the WIT name in camel case; a decimal index for a tuple. */
  readonly member: string;
  readonly type: WitType;
  readonly offset: number;
}

/**
 * A value of a {@link WitType}: an option is null or its value, bytes are a Uint8Array, an enum is its case, u64 is a
 * safe integer, a tuple is an array, a record an object, a result has one member, `ok` or `err`.
 */
export type WitValue =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly WitValue[]
  | { readonly [member: string]: WitValue };

export const bool: WitType = { kind: "bool", text: "bool", size: 1, align: 1, flat: 1 };
export const u8: WitType = { kind: "u8", text: "u8", size: 1, align: 1, flat: 1 };
export const u16: WitType = { kind: "u16", text: "u16", size: 2, align: 2, flat: 1 };
export const u32: WitType = { kind: "u32", text: "u32", size: 4, align: 4, flat: 1 };
export const u64: WitType = { kind: "u64", text: "u64", size: 8, align: 8, flat: 1 };
export const string: WitType = { kind: "string", text: "string", size: 8, align: 4, flat: 2 };
export const bytes: WitType = { kind: "bytes", text: "list<u8>", size: 8, align: 4, flat: 2 };

export function list(item: WitType): WitType {
  if (item.kind === "u8") return bytes;
  return { kind: "list", item, text: `list<${item.text}>`, size: 8, align: 4, flat: 2 };
}

export function record(members: readonly (readonly [name: string, type: WitType])[]): WitType {
  const text = `record{${members.map(([name, type]) => `${name}:${type.text}`).join(",")}}`;
  const named = members.map(([name, type]) => [camelCase(name), type] as const);
  return { kind: "record", text, ...placed(named) };
}

export function tuple(items: readonly WitType[]): WitType {
  const text = `tuple<${items.map((item) => item.text).join(",")}>`;
  return { kind: "tuple", text, ...placed(items.map((item, index) => [String(index), item] as const)) };
}

export function enumeration(cases: readonly string[]): WitType {
  if (cases.length > 256) throw new RangeError("an enum of more than 256 cases is not supported");
  return { kind: "enum", cases, text: `enum{${cases.join(",")}}`, size: 1, align: 1, flat: 1 };
}

export function option(some: WitType): WitType {
  return { kind: "option", some, text: `option<${some.text}>`, ...tagged(some, some), flat: some.flat + 1 };
}

export function result(ok: WitType, err: WitType): WitType {
  return { kind: "result", ok, err, text: `result<${ok.text},${err.text}>`, ...tagged(ok, err) };
}

function placed(members: readonly (readonly [member: string, type: WitType])[]) {
  const fields: WitField[] = [];
  let offset = 0;
  let align = 1;
  let flat = 0;
  for (const [member, type] of members) {
    offset = alignUp(offset, type.align);
    fields.push({ member, type, offset });
    offset += type.size;
    align = Math.max(align, type.align);
    flat += type.flat;
  }
  return { fields, size: alignUp(offset, align), align, flat };
}

/** A one-byte discriminant, then the payload. The flat count holds where the cases agree on their core types. */
function tagged(a: WitType, b: WitType) {
  const align = Math.max(a.align, b.align);
  const size = alignUp(align + Math.max(a.size, b.size), align);
  return { payload: align, size, align, flat: 1 + Math.max(a.flat, b.flat) };
}

/** The value of a record, from its fields in order. */
export function recordOf(
  fields: readonly WitField[],
  value: (field: WitField) => WitValue,
): { readonly [member: string]: WitValue } {
  const record: { [member: string]: WitValue } = {};
  for (const field of fields) record[field.member] = value(field);
  return record;
}

export function alignUp(offset: number, align: number): number {
  return Math.ceil(offset / align) * align;
}

function camelCase(name: string): string {
  return name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
