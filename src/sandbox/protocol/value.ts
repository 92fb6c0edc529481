import { utf8 } from "../../core/bytes.ts";
import { recordOf, type WitType, type WitValue } from "../wit/type.ts";
import { ProtocolError, putU32 } from "./frame.ts";

/** What most payloads are shorter than. */
const FIRST_BYTES = 256;

/** Writes one payload, little-endian. */
export class WireWriter {
  private buffer: Uint8Array;
  private size = 0;

  /** @param expected how many bytes the payload will have, where that is known. */
  constructor(expected = FIRST_BYTES) {
    this.buffer = new Uint8Array(expected);
  }

  u8(value: number): void {
    requireInteger(value, 0xff);
    const at = this.take(1);
    this.buffer[at] = value;
  }

  u16(value: number): void {
    requireInteger(value, 0xffff);
    const at = this.take(2);
    this.buffer[at] = value;
    this.buffer[at + 1] = value >>> 8;
  }

  u32(value: number): void {
    requireInteger(value, 0xffff_ffff);
    const at = this.take(4);
    putU32(this.buffer, at, value);
  }

  u64(value: number): void {
    requireInteger(value, Number.MAX_SAFE_INTEGER);
    const at = this.take(8);
    putU32(this.buffer, at, value % 2 ** 32);
    putU32(this.buffer, at + 4, Math.floor(value / 2 ** 32));
  }

  /** Bytes with their length before them. */
  bytes(value: Uint8Array): void {
    this.u32(value.byteLength);
    const at = this.take(value.byteLength);
    this.buffer.set(value, at);
  }

  string(value: string): void {
    if (!value.isWellFormed()) throw new TypeError("lone surrogate");
    this.bytes(utf8(value));
  }

  /** The payload; nothing may be written after it. */
  done(): Uint8Array {
    return this.buffer.subarray(0, this.size);
  }

  /** Takes so many bytes, and gives where they are. */
  private take(bytes: number): number {
    const at = this.size;
    this.size += bytes;
    if (this.size > this.buffer.byteLength) {
      const larger = new Uint8Array(Math.max(this.size, this.buffer.byteLength * 2));
      larger.set(this.buffer.subarray(0, at));
      this.buffer = larger;
    }
    return at;
  }
}

function requireInteger(value: number, most: number): void {
  if (!Number.isInteger(value) || value < 0 || value > most) throw new RangeError("integer out of range");
}

/** Writes a value; throws TypeError or RangeError when it is not of the type, which is a fault of this side. */
export function encodeValue(type: WitType, value: WitValue, to: WireWriter): void {
  switch (type.kind) {
    case "bool":
      to.u8(value === true ? 1 : 0);
      return;
    case "u8":
    case "u16":
    case "u32":
    case "u64":
      if (typeof value !== "number") throw mismatch(type);
      to[type.kind](value);
      return;
    case "string":
      if (typeof value !== "string") throw mismatch(type);
      to.string(value);
      return;
    case "bytes":
      if (!(value instanceof Uint8Array)) throw mismatch(type);
      to.bytes(value);
      return;
    case "enum": {
      const index = typeof value === "string" ? type.cases.indexOf(value) : -1;
      if (index < 0) throw mismatch(type);
      to.u8(index);
      return;
    }
    case "list": {
      if (!Array.isArray(value)) throw mismatch(type);
      const items: readonly WitValue[] = value;
      to.u32(items.length);
      for (const item of items) encodeValue(type.item, item, to);
      return;
    }
    case "record":
    case "tuple":
      for (const field of type.fields) encodeValue(field.type, member(type, value, field.member), to);
      return;
    case "option":
      to.u8(value === null ? 0 : 1);
      if (value !== null) encodeValue(type.some, value, to);
      return;
    case "result": {
      const ok = typeof value === "object" && value !== null && Object.hasOwn(value, "ok");
      to.u8(ok ? 0 : 1);
      encodeValue(ok ? type.ok : type.err, member(type, value, ok ? "ok" : "err"), to);
      return;
    }
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads one payload that the other side controls. Throws {@link ProtocolError}. */
export class WireReader {
  private readonly payload: Uint8Array;
  private readonly view: DataView;
  private at = 0;

  constructor(payload: Uint8Array) {
    this.payload = payload;
    this.view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  }

  get left(): number {
    return this.payload.byteLength - this.at;
  }

  u8(): number {
    return this.view.getUint8(this.skip(1));
  }

  u16(): number {
    return this.view.getUint16(this.skip(2), true);
  }

  u32(): number {
    return this.view.getUint32(this.skip(4), true);
  }

  u64(): number {
    const at = this.skip(8);
    const high = this.view.getUint32(at + 4, true);
    // 2^53 - 1 is all of the low word and 21 bits of the high one.
    if (high >= 2 ** 21) throw new ProtocolError("integer beyond 2^53 - 1");
    return high * 2 ** 32 + this.view.getUint32(at, true);
  }

  /** A copy. */
  bytes(): Uint8Array {
    return this.window().slice();
  }

  string(): string {
    return text(this.window());
  }

  /** Everything that is left; a window on the payload. */
  rest(): Uint8Array {
    return this.payload.subarray(this.skip(this.left));
  }

  end(): void {
    if (this.left !== 0) throw new ProtocolError("payload is longer than its value");
  }

  private window(): Uint8Array {
    const length = this.u32();
    const start = this.skip(length);
    return this.payload.subarray(start, start + length);
  }

  private skip(size: number): number {
    if (size > this.left) throw new ProtocolError("payload ends early");
    this.at += size;
    return this.at - size;
  }
}

export function text(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new ProtocolError("string is not valid utf-8");
  }
}

/** Reads a value of the type; everything about it has been checked. Throws {@link ProtocolError}. */
export function decodeValue(type: WitType, from: WireReader): WitValue {
  switch (type.kind) {
    case "bool":
      return flag(from) === 1;
    case "u8":
    case "u16":
    case "u32":
    case "u64":
    case "string":
    case "bytes":
      return from[type.kind]();
    case "enum": {
      const name = type.cases[from.u8()];
      if (name === undefined) throw new ProtocolError("enum case out of range");
      return name;
    }
    case "list": {
      const length = from.u32();
      // No item of this world takes less than a byte, so a forged length cannot reserve memory.
      if (length > from.left) throw new ProtocolError("list is longer than its payload");
      return Array.from({ length }, () => decodeValue(type.item, from));
    }
    case "record":
      return recordOf(type.fields, (field) => decodeValue(field.type, from));
    case "tuple":
      return type.fields.map((field) => decodeValue(field.type, from));
    case "option":
      return flag(from) === 0 ? null : decodeValue(type.some, from);
    case "result":
      return flag(from) === 0 ? { ok: decodeValue(type.ok, from) } : { err: decodeValue(type.err, from) };
  }
}

function flag(from: WireReader): 0 | 1 {
  const value = from.u8();
  if (value !== 0 && value !== 1) throw new ProtocolError("flag is neither 0 nor 1");
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
