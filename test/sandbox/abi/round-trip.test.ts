import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { AbiError, GuestMemory } from "../../../src/sandbox/abi/guest-memory.ts";
import { FlatValues, LiftBudget, lift, liftFlat } from "../../../src/sandbox/abi/lift.ts";
import { lower } from "../../../src/sandbox/abi/lower.ts";
import { bytes, list, option, string, tuple, u64 } from "../../../src/sandbox/wit/type.ts";
import { FS_ERRORS, WORLD_FUNCTIONS } from "../../../src/sandbox/wit/world.ts";
import { valuesOf } from "../wit/values.ts";

const TYPES = WORLD_FUNCTIONS.flatMap(({ params, result }) =>
  result === null ? params : [...params, result],
);
const budget = () => new LiftBudget(100_000);

/** Memory with an honest allocator from `start` on. */
function honest(start = 1024) {
  const memory = new WebAssembly.Memory({ initial: 1 });
  let next = start;
  const realloc = (_old: number, _oldSize: number, align: number, size: number) => {
    const ptr = Math.ceil(next / align) * align;
    next = ptr + size;
    return ptr;
  };
  const reset = () => {
    next = start;
  };
  return { memory, reset, view: new DataView(memory.buffer), guest: GuestMemory.of(memory, realloc) };
}

describe("canonical abi", () => {
  test("lifts what it lowered, for every type of the world", () => {
    for (const type of TYPES) {
      const { guest, reset } = honest();
      fc.assert(
        fc.property(valuesOf(type), (value) => {
          reset();
          lower(type, value, guest, 64);
          expect(lift(type, guest, 64, budget())).toEqual(value);
        }),
        { seed: 1, numRuns: 50 },
      );
    }
  });

  test("answers any bytes and any pointer with a value or an abi error, never with another error", () => {
    const words = fc.array(fc.nat({ max: 0xffff_ffff }), { minLength: 20, maxLength: 20 });
    const { guest, view } = honest();
    for (const type of TYPES)
      fc.assert(
        fc.property(words, fc.nat({ max: 0xffff_ffff }), (values, ptr) => {
          for (const [index, word] of values.entries()) view.setUint32(64 + index * 4, word, true);
          for (const at of [64, ptr])
            try {
              lift(type, guest, at, budget());
            } catch (error) {
              expect(error).toBeInstanceOf(AbiError);
            }
        }),
        { seed: 1, numRuns: 200 },
      );
  });

  test("answers any core values with a value or an abi error, never with another error", () => {
    const { guest } = honest();
    for (const { params } of WORLD_FUNCTIONS)
      fc.assert(
        fc.property(fc.array(fc.integer(), { minLength: 16, maxLength: 16 }), (values) => {
          try {
            for (const type of params) liftFlat(type, guest, new FlatValues(values), budget());
          } catch (error) {
            expect(error).toBeInstanceOf(AbiError);
          }
        }),
        { seed: 1, numRuns: 300 },
      );
  });

  test.each([
    [0xffff_fff0, 0x20],
    [65_536, 1],
    [65_530, 7],
    [0, 65_537],
    [0xffff_ffff, 0xffff_ffff],
  ])("refuses a string at %p of %p bytes", (ptr, length) => {
    const { guest } = honest();
    expect(() => liftFlat(string, guest, new FlatValues([ptr, length]), budget())).toThrow(AbiError);
    expect(() =>
      liftFlat(bytes, guest, new FlatValues([ptr | 0, length | 0]), new LiftBudget(2 ** 40)),
    ).toThrow("beyond the memory");
  });

  test("takes a string that ends with the memory", () => {
    const { guest } = honest();
    expect(liftFlat(string, guest, new FlatValues([65_535, 1]), budget())).toBe("\0");
    expect(liftFlat(string, guest, new FlatValues([65_536, 0]), budget())).toBe("");
  });

  test("refuses text that is not utf-8", () => {
    const { guest, memory } = honest();
    for (const text of [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xe2, 0x82]]) {
      new Uint8Array(memory.buffer).set(text, 64);
      expect(() => liftFlat(string, guest, new FlatValues([64, text.length]), budget())).toThrow(
        "not valid utf-8",
      );
    }
  });

  test("refuses pointers that are not aligned", () => {
    const { guest } = honest();
    expect(() => lift(string, guest, 66, budget())).toThrow("not aligned");
    expect(() => liftFlat(list(string), guest, new FlatValues([66, 1]), budget())).toThrow("not aligned");
  });

  test("refuses enum cases and discriminants that are not there", () => {
    const { guest } = honest();
    const mode = WORLD_FUNCTIONS.find(({ name }) => name === "io-fs.write")?.params[0];
    if (mode === undefined) throw new Error("the world has no io-fs.write");
    expect(() => liftFlat(mode, guest, new FlatValues([0, 0, 0, 0, 2, 0, 0, 0]), budget())).toThrow(
      "enum case",
    );
    expect(() => liftFlat(option(bytes), guest, new FlatValues([2, 0, 0]), budget())).toThrow("discriminant");
    expect(FS_ERRORS).toHaveLength(13);
  });

  test("refuses an integer beyond 2^53 - 1", () => {
    const { guest, view } = honest();
    view.setBigUint64(64, 2n ** 53n, true);
    expect(() => lift(u64, guest, 64, budget())).toThrow("2^53");
  });

  test("does not let a small memory become a large value", () => {
    const { guest, view } = honest();
    // Five hundred headers whose name and value are all the same 40,000 bytes.
    for (let at = 0; at < 8000; at += 8) {
      view.setUint32(1024 + at, 20_000, true);
      view.setUint32(1024 + at + 4, 40_000, true);
    }
    const headers = list(tuple([string, string]));
    expect(() => liftFlat(headers, guest, new FlatValues([1024, 500]), budget())).toThrow(
      "larger than 100000 bytes",
    );
  });

  test.each([
    ["beyond the memory", 65_530],
    ["far beyond the memory", -1],
    ["no number", "64"],
  ])("refuses a realloc that gives an address that is %s", (_, answer) => {
    const guest = GuestMemory.of(new WebAssembly.Memory({ initial: 1 }), () => answer);
    expect(() => lower(string, "twelve bytes", guest, 0)).toThrow(AbiError);
  });

  test("refuses a realloc that gives an address that is not aligned", () => {
    const guest = GuestMemory.of(new WebAssembly.Memory({ initial: 1 }), () => 66);
    expect(() => lower(list(string), ["a"], guest, 0)).toThrow("not aligned");
  });

  test("refuses to lower without realloc", () => {
    const guest = GuestMemory.of(new WebAssembly.Memory({ initial: 1 }), null);
    expect(() => lower(string, "a", guest, 0)).toThrow("no realloc");
  });

  test("follows a memory that grows while it is written to", () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const realloc = (_o: number, _s: number, _a: number, size: number) =>
      memory.grow(Math.ceil(size / 65_536) + 1) * 65_536;
    const guest = GuestMemory.of(memory, realloc);
    const value = ["a", "b".repeat(70_000), "c"];
    lower(list(string), value, guest, 64);
    expect(lift(list(string), guest, 64, new LiftBudget(200_000))).toEqual(value);
  });
});
