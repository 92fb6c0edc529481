import * as wit from "../wit/type.ts";
import { signature } from "../wit/world.ts";
import { type Cursor, malformed, unsupported } from "./cursor.ts";

/** A type as a component declares it; `foreign` is one that this world has no use for. */
export type DeclaredType =
  | { readonly kind: "value"; readonly type: wit.WitType }
  /** The signature is null for a function of types that this world has no use for. */
  | { readonly kind: "function"; readonly signature: string | null }
  | { readonly kind: "instance"; readonly exports: ReadonlyMap<string, DeclaredType> }
  | { readonly kind: "foreign" };

const FOREIGN: DeclaredType = { kind: "foreign" };

/** Structural descriptions double with each level of nesting; none of this world comes near this length. */
const LONGEST_TYPE = 4096;

const PRIMITIVES: ReadonlyMap<number, wit.WitType> = new Map([
  [0x7f, wit.bool],
  [0x7d, wit.u8],
  [0x7b, wit.u16],
  [0x79, wit.u32],
  [0x77, wit.u64],
  [0x73, wit.string],
]);

/** Index space of types: the component's own, or the one inside a declared instance or component type. */
export type TypeSpace = DeclaredType[];

/** One `type` of a type section (component-model Binary.md, "Type Definitions"). */
export function readType(from: Cursor, space: TypeSpace, depth = 0): DeclaredType {
  if (depth > 8) throw unsupported("types nested deeper than eight levels");
  const code = from.byte();
  switch (code) {
    case 0x40:
    case 0x43:
      return readFunction(from, space, code === 0x43);
    case 0x41:
    case 0x42:
      return readInstance(from, code === 0x41, space, depth);
    case 0x3f:
      from.expect(0x7f, "a resource representation");
      if (from.byte() === 1) from.u32(); // its destructor, which nothing calls
      return FOREIGN;
    default:
      return readValueType(code, from, space);
  }
}

function readValueType(code: number, from: Cursor, space: TypeSpace): DeclaredType {
  switch (code) {
    case 0x72: {
      const fields = from.vector(() => [from.name(), valueType(from, space)] as const);
      return value(known(fields.map(([, type]) => type)), (types) =>
        wit.record(fields.map(([name], index) => [name, at(types, index)])),
      );
    }
    case 0x70:
      return value(known([valueType(from, space)]), (types) => wit.list(at(types, 0)));
    case 0x6f:
      return value(known(from.vector(() => valueType(from, space))), wit.tuple);
    case 0x6d: {
      const cases = from.vector(() => from.name());
      return cases.length > 256 ? FOREIGN : value([], () => wit.enumeration(cases));
    }
    case 0x6b:
      return value(known([valueType(from, space)]), (types) => wit.option(at(types, 0)));
    case 0x6a: {
      const arms = [optionalType(from, space), optionalType(from, space)];
      return value(known(arms), (types) => wit.result(at(types, 0), at(types, 1)));
    }
    case 0x71: // variant
      from.vector(() => {
        from.name();
        optionalType(from, space);
        from.expect(0x00, "the end of a case");
      });
      return FOREIGN;
    case 0x6e: // flags
      from.vector(() => from.name());
      return FOREIGN;
    case 0x69: // own
    case 0x68: // borrow
      from.u32();
      return FOREIGN;
    default: {
      if (code < 0x64 || code > 0x7f) throw unsupported(`a type of code 0x${code.toString(16)}`);
      const primitive = PRIMITIVES.get(code);
      return primitive === undefined ? FOREIGN : { kind: "value", type: primitive };
    }
  }
}

function readFunction(from: Cursor, space: TypeSpace, asynchronous: boolean): DeclaredType {
  const params = from.vector(() => {
    from.name();
    return valueType(from, space);
  });
  let answer: wit.WitType | "foreign" | null = null;
  if (from.byte() === 0x00) answer = valueType(from, space);
  else from.expect(0x00, "an empty result list");
  const types = known(params);
  if (asynchronous || types === null || answer === "foreign") return { kind: "function", signature: null };
  return { kind: "function", signature: signature(types, answer) };
}

function readInstance(from: Cursor, component: boolean, outer: TypeSpace, depth: number): DeclaredType {
  const space: TypeSpace = [];
  const exports = new Map<string, DeclaredType>();
  from.vector(() => {
    const declaration = from.byte();
    switch (declaration) {
      case 0x01:
        space.push(readType(from, space, depth + 1));
        return;
      case 0x02:
        space.push(readTypeAlias(from, outer));
        return;
      case 0x04: {
        const name = readExternName(from);
        const described = readExternType(from, space);
        if (described.sort === "type") space.push(described.type);
        exports.set(name, described.type);
        return;
      }
      case 0x03:
        if (!component) throw malformed("an import inside an instance type");
        readExternName(from);
        if (readExternType(from, space).sort === "type") space.push(FOREIGN);
        return;
      default:
        throw unsupported("core types inside a type");
    }
  });
  return component ? FOREIGN : { kind: "instance", exports };
}

function readTypeAlias(from: Cursor, outer: TypeSpace): DeclaredType {
  from.expect(0x03, "an alias of a type");
  if (from.byte() !== 0x02) throw unsupported("an alias of an export inside a type");
  const levels = from.u32();
  const index = from.u32();
  if (levels !== 1) return FOREIGN;
  return at(outer, index);
}

export function readExternName(from: Cursor): string {
  const form = from.byte();
  if (form !== 0x00 && form !== 0x01) throw unsupported("a name with a version suffix");
  return from.name();
}

export type ExternSort = "function" | "type" | "instance" | "other";

/** An `externdesc`: what is imported or exported, and its type where it has one here. */
export function readExternType(
  from: Cursor,
  space: TypeSpace,
): { readonly sort: ExternSort; readonly type: DeclaredType } {
  switch (from.byte()) {
    case 0x00:
      from.expect(0x11, "a core module");
      from.u32();
      return { sort: "other", type: FOREIGN };
    case 0x01:
      return { sort: "function", type: at(space, from.u32()) };
    case 0x03: {
      const bound = from.byte();
      if (bound === 0x00) return { sort: "type", type: at(space, from.u32()) };
      if (bound === 0x01) return { sort: "type", type: FOREIGN };
      throw malformed("a type bound is unknown");
    }
    case 0x04:
      from.u32();
      return { sort: "other", type: FOREIGN };
    case 0x05:
      return { sort: "instance", type: at(space, from.u32()) };
    default:
      throw unsupported("value imports or exports");
  }
}

function valueType(from: Cursor, space: TypeSpace): wit.WitType | "foreign" {
  const code = from.peek();
  // Negative codes are single bytes with bit 6 set; anything else is an index (s33).
  const declared =
    code >= 0x40 && code < 0x80 ? readValueType(from.byte(), from, space) : at(space, from.u32());
  return declared.kind === "value" ? declared.type : "foreign";
}

function optionalType(from: Cursor, space: TypeSpace): wit.WitType | "foreign" {
  const present = from.byte();
  if (present === 0x00) return "foreign";
  if (present !== 0x01) throw malformed("an optional type is neither there nor absent");
  return valueType(from, space);
}

function known(types: readonly (wit.WitType | "foreign")[]): readonly wit.WitType[] | null {
  const out: wit.WitType[] = [];
  for (const type of types) {
    if (type === "foreign") return null;
    out.push(type);
  }
  return out;
}

function value(
  types: readonly wit.WitType[] | null,
  make: (types: readonly wit.WitType[]) => wit.WitType,
): DeclaredType {
  if (types === null) return FOREIGN;
  const type = make(types);
  if (type.text.length > LONGEST_TYPE) throw unsupported("a type of many members");
  return { kind: "value", type };
}

export function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw malformed("an index is out of range");
  return item;
}
