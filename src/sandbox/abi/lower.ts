import { utf8 } from "../../core/bytes.ts";
import type { WitType, WitValue } from "../wit/type.ts";
import type { GuestMemory } from "./guest-memory.ts";

/**
 * Writes a value of the type at an address (CanonicalABI.md, `store`). The value is one that the wire decoder made
 * for this very type; one that is not of the type is a fault of the host and throws TypeError. What the guest's
 * realloc answers is checked: throws `AbiError`.
 */
export function lower(type: WitType, value: WitValue, memory: GuestMemory, ptr: number): void {
  switch (type.kind) {
    case "bool":
      memory.view(ptr, 1, 1).setUint8(0, value === true ? 1 : 0);
      return;
    case "u8":
      memory.view(ptr, 1, 1).setUint8(0, number(value));
      return;
    case "u16":
      memory.view(ptr, 2, 2).setUint16(0, number(value), true);
      return;
    case "u32":
      memory.view(ptr, 4, 4).setUint32(0, number(value), true);
      return;
    case "u64":
      memory.view(ptr, 8, 8).setBigUint64(0, BigInt(number(value)), true);
      return;
    case "enum": {
      const index = typeof value === "string" ? type.cases.indexOf(value) : -1;
      if (index < 0) throw mismatch(type);
      memory.view(ptr, 1, 1).setUint8(0, index);
      return;
    }
    case "string": {
      if (typeof value !== "string") throw mismatch(type);
      storePair(memory, ptr, lowerBytes(utf8(value), memory));
      return;
    }
    case "bytes": {
      if (!(value instanceof Uint8Array)) throw mismatch(type);
      storePair(memory, ptr, lowerBytes(value, memory));
      return;
    }
    case "list": {
      if (!Array.isArray(value)) throw mismatch(type);
      const items: readonly WitValue[] = value;
      const start = memory.allocate(type.item.align, items.length * type.item.size);
      for (const [index, item] of items.entries())
        lower(type.item, item, memory, start + index * type.item.size);
      storePair(memory, ptr, [start, items.length]);
      return;
    }
    case "record":
    case "tuple":
      for (const field of type.fields)
        lower(field.type, member(type, value, field.member), memory, ptr + field.offset);
      return;
    case "option":
      memory.view(ptr, 1, 1).setUint8(0, value === null ? 0 : 1);
      if (value !== null) lower(type.some, value, memory, ptr + type.payload);
      return;
    case "result": {
      const ok = typeof value === "object" && value !== null && Object.hasOwn(value, "ok");
      memory.view(ptr, 1, 1).setUint8(0, ok ? 0 : 1);
      lower(ok ? type.ok : type.err, member(type, value, ok ? "ok" : "err"), memory, ptr + type.payload);
    }
  }
}

/** Copies bytes into memory that the guest gave for them: address and length. */
export function lowerBytes(value: Uint8Array, memory: GuestMemory): readonly [ptr: number, length: number] {
  const ptr = memory.allocate(1, value.byteLength);
  memory.bytes(ptr, value.byteLength).set(value);
  return [ptr, value.byteLength];
}

function storePair(memory: GuestMemory, at: number, [ptr, length]: readonly [number, number]): void {
  const view = memory.view(at, 8, 4);
  view.setUint32(0, ptr, true);
  view.setUint32(4, length, true);
}

function number(value: WitValue): number {
  if (typeof value !== "number") throw new TypeError("not a number");
  return value;
}

function member(type: WitType, value: WitValue, name: string): WitValue {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) throw mismatch(type);
  // An array answers to the decimal members of a tuple as an object does to the names of a record.
  const found = (value as { readonly [name: string]: WitValue | undefined })[name];
  if (found === undefined) throw mismatch(type);
  return found;
}

function mismatch(type: WitType): TypeError {
  return new TypeError(`not a value of ${type.kind}`);
}
