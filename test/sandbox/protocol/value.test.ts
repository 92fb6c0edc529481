import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ProtocolError } from "../../../src/sandbox/protocol/frame.ts";
import { decodeValue, encodeValue, WireReader, WireWriter } from "../../../src/sandbox/protocol/value.ts";
import { u64, type WitType, type WitValue } from "../../../src/sandbox/wit/type.ts";
import { WORLD_FUNCTIONS } from "../../../src/sandbox/wit/world.ts";
import { valuesOf } from "../wit/values.ts";

const TYPES = WORLD_FUNCTIONS.flatMap(({ params, result }) =>
  result === null ? params : [...params, result],
);

function encoded(type: WitType, value: WitValue): Uint8Array {
  const to = new WireWriter();
  encodeValue(type, value, to);
  return to.done();
}

function decoded(type: WitType, payload: Uint8Array): WitValue {
  const from = new WireReader(payload);
  const value = decodeValue(type, from);
  from.end();
  return value;
}

describe("values on the wire", () => {
  test("come back as they were, for every type of the world", () => {
    for (const type of TYPES)
      fc.assert(
        fc.property(valuesOf(type), (value) => {
          expect(decoded(type, encoded(type, value))).toEqual(value);
        }),
        { seed: 1, numRuns: 50 },
      );
  });

  test("that are garbage are a protocol error and nothing else", () => {
    for (const type of TYPES)
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 64 }), (payload) => {
          try {
            decoded(type, payload);
          } catch (error) {
            expect(error).toBeInstanceOf(ProtocolError);
          }
        }),
        { seed: 1, numRuns: 300 },
      );
  });

  test("that are cut or have bytes left over are refused", () => {
    for (const type of TYPES)
      fc.assert(
        fc.property(valuesOf(type), fc.nat(), (value, cut) => {
          const payload = encoded(type, value);
          expect(() => decoded(type, Buffer.concat([payload, Uint8Array.of(0)]))).toThrow(ProtocolError);
          expect(() => decoded(type, payload.subarray(0, cut % payload.byteLength))).toThrow(ProtocolError);
        }),
        { seed: 1, numRuns: 30 },
      );
  });

  test("are refused with text that is not utf-8", () => {
    const [log] = WORLD_FUNCTIONS.slice(-1);
    const type = log?.params[0];
    if (type === undefined) throw new Error("the world has no log function");
    for (const bytes of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf0, 0x9f, 0x98]])
      expect(() => decoded(type, Uint8Array.from([bytes.length, 0, 0, 0, ...bytes]))).toThrow(
        "not valid utf-8",
      );
  });

  test("are refused beyond 2^53 - 1", () => {
    expect(() => decoded(u64, new Uint8Array(8).fill(0xff))).toThrow(ProtocolError);
    expect(decoded(u64, encoded(u64, Number.MAX_SAFE_INTEGER))).toBe(Number.MAX_SAFE_INTEGER);
  });

  test("of another type than declared do not leave this side", () => {
    expect(() => encoded(u64, -1)).toThrow(RangeError);
    expect(() => encoded(u64, 1.5)).toThrow(RangeError);
    expect(() => encoded(u64, "1")).toThrow(TypeError);
    for (const type of TYPES) expect(() => encoded(type, { nothing: "of it" })).toThrow(TypeError);
  });
});
