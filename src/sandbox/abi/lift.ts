import { recordOf, type WitType, type WitValue } from "../wit/type.ts";
import { AbiError, type GuestMemory } from "./guest-memory.ts";

/**
 * How many bytes one lift may copy out. Lists whose items all point at the same long string would otherwise turn a
 * small memory into a value of any size.
 */
export class LiftBudget {
  private left: number;
  private readonly limit: number;

  constructor(limit: number) {
    this.limit = limit;
    this.left = limit;
  }

  /** Bytes taken so far. */
  get taken(): number {
    return this.limit - this.left;
  }

  take(size: number): void {
    this.left -= size;
    if (this.left < 0) throw new AbiError(`values larger than ${this.limit} bytes`);
  }
}

/** Reads a value of the type at an address (CanonicalABI.md, `load`). Throws {@link AbiError}. */
export function lift(type: WitType, memory: GuestMemory, ptr: number, budget: LiftBudget): WitValue {
  switch (type.kind) {
    case "bool":
      return memory.view(ptr, 1, 1).getUint8(0) !== 0;
    case "u8":
      return memory.view(ptr, 1, 1).getUint8(0);
    case "u16":
      return memory.view(ptr, 2, 2).getUint16(0, true);
    case "u32":
      return memory.view(ptr, 4, 4).getUint32(0, true);
    case "u64":
      return safeInteger(memory.view(ptr, 8, 8).getBigUint64(0, true));
    case "enum":
      return enumCase(type.cases, memory.view(ptr, 1, 1).getUint8(0));
    case "string":
    case "bytes":
    case "list": {
      const pair = memory.view(ptr, 8, 4);
      return liftRange(type, memory, pair.getUint32(0, true), pair.getUint32(4, true), budget);
    }
    case "record":
      return recordOf(type.fields, (field) => lift(field.type, memory, ptr + field.offset, budget));
    case "tuple":
      return type.fields.map((field) => lift(field.type, memory, ptr + field.offset, budget));
    case "option":
      return discriminant(memory.view(ptr, 1, 1).getUint8(0)) === 0
        ? null
        : lift(type.some, memory, ptr + type.payload, budget);
    case "result":
      return discriminant(memory.view(ptr, 1, 1).getUint8(0)) === 0
        ? { ok: lift(type.ok, memory, ptr + type.payload, budget) }
        : { err: lift(type.err, memory, ptr + type.payload, budget) };
  }
}

/** Core values of one call, taken in order. */
export class FlatValues {
  private at = 0;
  private readonly values: readonly unknown[];

  constructor(values: readonly unknown[]) {
    this.values = values;
  }

  /** An i32 as unsigned. */
  u32(): number {
    const value = this.values[this.at++];
    if (typeof value !== "number") throw new AbiError("expected an i32");
    return value >>> 0;
  }

  u64(): bigint {
    const value = this.values[this.at++];
    if (typeof value !== "bigint") throw new AbiError("expected an i64");
    return BigInt.asUintN(64, value);
  }

  skip(count: number): void {
    this.at += count;
  }
}

/** Reads a parameter from core values (CanonicalABI.md, `lift_flat`). Throws {@link AbiError}. */
export function liftFlat(type: WitType, memory: GuestMemory, from: FlatValues, budget: LiftBudget): WitValue {
  switch (type.kind) {
    case "bool":
      return from.u32() !== 0;
    case "u8":
      return from.u32() & 0xff;
    case "u16":
      return from.u32() & 0xffff;
    case "u32":
      return from.u32();
    case "u64":
      return safeInteger(from.u64());
    case "enum":
      return enumCase(type.cases, from.u32());
    case "string":
    case "bytes":
    case "list": {
      const ptr = from.u32();
      return liftRange(type, memory, ptr, from.u32(), budget);
    }
    case "record":
      return recordOf(type.fields, (field) => liftFlat(field.type, memory, from, budget));
    case "tuple":
      return type.fields.map((field) => liftFlat(field.type, memory, from, budget));
    case "option": {
      if (discriminant(from.u32()) === 1) return liftFlat(type.some, memory, from, budget);
      from.skip(type.some.flat);
      return null;
    }
    case "result":
      throw new AbiError("no function of the world takes a result");
  }
}

function liftRange(
  type: Extract<WitType, { kind: "string" | "bytes" | "list" }>,
  memory: GuestMemory,
  ptr: number,
  length: number,
  budget: LiftBudget,
): WitValue {
  if (type.kind === "list") {
    if (ptr % type.item.align !== 0) throw new AbiError("pointer is not aligned");
    memory.bytes(ptr, length * type.item.size);
    budget.take(length * type.item.size);
    return Array.from({ length }, (_, index) =>
      lift(type.item, memory, ptr + index * type.item.size, budget),
    );
  }
  budget.take(length);
  return type.kind === "string" ? memory.text(ptr, length) : memory.bytes(ptr, length).slice();
}

function discriminant(value: number): 0 | 1 {
  if (value !== 0 && value !== 1) throw new AbiError("discriminant out of range");
  return value;
}

function enumCase(cases: readonly string[], index: number): string {
  const name = cases[index];
  if (name === undefined) throw new AbiError("enum case out of range");
  return name;
}

function safeInteger(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new AbiError("integer beyond 2^53 - 1");
  return Number(value);
}
