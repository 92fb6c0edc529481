import { describe, expect, test } from "bun:test";
import { parse } from "@bytecodealliance/jco-transpile/wasm-tools";
import { meterModule } from "../../../src/sandbox/meter/meter.ts";
import { MeterState } from "../../../src/sandbox/runner/meter-state.ts";
import { attempt, instantiate, meterText, PLENTY } from "./metered.ts";

const UNREACHABLE = "RuntimeError: Unreachable code should not be executed";

describe("the meter", () => {
  test("ends a guest at its deadline, however much fuel it has", async () => {
    let now = 0;
    const meter = new MeterState({ ...PLENTY, deadline: 100 }, () => now++);
    const exports = instantiate(
      meterModule(await parse('(module (func (export "run") (loop $l (br $l))))')),
      meter,
    );
    expect(attempt(() => exports.run?.())).toEqual({ threw: UNREACHABLE });
    expect(meter.stopped).toBe("deadline");
    // A slice for each look at the clock, and no more.
    expect(meter.used().fuel).toBeLessThanOrEqual(101 * 16_385);
  });

  test("lets nobody into a guest again that it has ended", async () => {
    const { exports, meter } = await meterText(
      '(module (func (export "run") (loop $l (br $l))) (func (export "again")))',
      { fuel: 1_000 },
    );
    attempt(() => exports.run?.());
    expect(attempt(() => exports.again?.())).toEqual({ threw: UNREACHABLE });
    expect(meter.used().fuel).toBe(1_000);
  });

  test("counts what a recursion used until its stack ended", async () => {
    const { exports, meter } = await meterText('(module (func $f (export "run") (call $f)))');
    expect(attempt(() => exports.run?.())).toEqual({
      threw: "RangeError: Maximum call stack size exceeded.",
    });
    expect(meter.used().fuel).toBeGreaterThan(1_000);
  });
});

describe("a guest that catches what comes out of the host", () => {
  const SPIN_AND_CATCH = `(module
    (func $spin (loop $l (br $l)))
    (func (export "run")
      (block $c (try_table (catch_all $c) (call $spin)))
      (loop $free (br $free))))`;

  test("is trapped by its next charge when the host threw, and asks for nothing more", async () => {
    let asked = 0;
    const throws = () => {
      if (asked++ === 0) return 100;
      // As when the stack ends in the host's own function.
      throw new Error("not a trap, so that the guest can catch it");
    };
    const meter = { refill: throws, grow: () => -1, joined() {} } as unknown as MeterState; // what a guest sees of one
    const exports = instantiate(meterModule(await parse(SPIN_AND_CATCH)), meter);
    expect(attempt(() => exports.run?.())).toEqual({ threw: UNREACHABLE });
    expect(asked).toBe(2);
  });
});

describe("a guest that wants memory", () => {
  const HOG = `(module (memory (export "memory") 1) (func (export "run") (result i32)
    (loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) memory.size))`;

  test("page by page: gets it all, with few copies, and is then refused", async () => {
    const { exports, meter } = await meterText(HOG, { memoryPages: 1_024, fuel: 2_000_000 });
    expect(exports.run?.()).toBe(1_024);
    expect(meter.growDenied).toBe(true);
    expect(meter.used().peakPages).toBe(1_024);
    // 1,023 pages of 64 KiB copied once each, at one unit for 64 bytes; page by page it would be 512 times as much.
    expect(meter.used().fuel).toBeLessThan(1_100_000);
    expect(memoryOf(exports).buffer.byteLength).toBe(1_024 * 65_536);
  });

  test("never has more than its limit, though memory is taken ahead", async () => {
    const { exports, meter } = await meterText(HOG, { memoryPages: 700 });
    expect(exports.run?.()).toBe(700);
    expect(memoryOf(exports).buffer.byteLength).toBe(700 * 65_536);
    expect(meter.used().peakPages).toBe(700);
  });

  test("keeps a lower limit of its own", async () => {
    const { exports } = await meterText(HOG.replace('"memory") 1)', '"memory") 1 5)'), { memoryPages: 700 });
    expect(exports.run?.()).toBe(5);
  });

  test("sees the pages that it asked for, not those taken ahead", async () => {
    const { exports, meter } = await meterText(`(module (memory (export "memory") 3)
      (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
      (func (export "size") (result i32) memory.size))`);
    expect(exports.size?.()).toBe(3);
    expect(exports.grow?.(0)).toBe(3);
    expect(exports.grow?.(1)).toBe(3);
    expect(exports.grow?.(1)).toBe(4);
    expect(exports.size?.()).toBe(5);
    expect(memoryOf(exports).buffer.byteLength).toBe(6 * 65_536);
    expect(meter.used().peakPages).toBe(5);
    expect(exports.grow?.(-1)).toBe(-1);
    expect(exports.grow?.(65_536)).toBe(-1);
    expect(exports.size?.()).toBe(5);
    expect(meter.growDenied).toBe(true);
  });

  test("pays for each growth of a table", async () => {
    const { exports, meter } = await meterText(
      `(module (table $t 1 10000 funcref) (func (export "run") (result i32)
        (loop $l (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 1)) (i32.const -1)))) (table.size $t)))`,
    );
    expect(exports.run?.()).toBe(10_000);
    expect(meter.used().fuel).toBeGreaterThan(10_000 * 256);
  });
});

describe("a region of many instructions", () => {
  /** A loop of two rounds whose body has so many instructions, with a loop that never goes round before them. */
  const loop = (instructions: number) => `(module (func (export "run") (local i32)
    (loop $l (loop (nop)) ${"(nop)".repeat(instructions)}
      (br_if $l (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 2))))))`;
  const cost = async (instructions: number) => {
    const { exports, meter } = await meterText(loop(instructions));
    exports.run?.();
    return meter.used().fuel;
  };

  test("costs one more for each 4,096, those behind an inner loop too", async () => {
    expect(await cost(1)).toBe(1 + 2 * (1 + 1));
    expect(await cost(4_100)).toBe(1 + 2 * (2 + 1));
    expect(await cost(60_000)).toBe(1 + 2 * (15 + 1));
  });

  test("is refused above 65,536", async () => {
    await expect(cost(65_600)).rejects.toMatchObject({ code: "component_too_large" });
  });
});

function memoryOf(exports: object): WebAssembly.Memory {
  return (exports as { readonly memory: WebAssembly.Memory }).memory; // of the modules above
}

describe("bulk operations", () => {
  const data = `(data $d "${"x".repeat(4_096)}")`;
  const items = `(func $f) (elem $e func ${"$f ".repeat(4_096)})`;
  test.each([
    ["memory.fill", "(memory 1)", "(memory.fill (i32.const 0) (i32.const 1) (local.get $n))"],
    ["memory.copy", "(memory 1)", "(memory.copy (i32.const 0) (i32.const 8) (local.get $n))"],
    ["memory.init", `(memory 1) ${data}`, "(memory.init $d (i32.const 0) (i32.const 0) (local.get $n))"],
    ["table.fill", "(table 5000 funcref)", "(table.fill 0 (i32.const 0) (ref.null func) (local.get $n))"],
    ["table.copy", "(table 5000 funcref)", "(table.copy 0 0 (i32.const 0) (i32.const 8) (local.get $n))"],
    [
      "table.init",
      `(table 5000 funcref) ${items}`,
      "(table.init $e (i32.const 0) (i32.const 0) (local.get $n))",
    ],
  ])("%s costs one for each 64 of its length", async (_, parts, operation) => {
    const text = `(module ${parts} (func (export "run") (param $n i32) ${operation}))`;
    const cost = async (length: number) => {
      const { exports, meter } = await meterText(text);
      exports.run?.(length);
      return meter.used().fuel;
    };
    const none = await cost(0);
    expect([await cost(64), await cost(640), await cost(4_096)]).toEqual([none + 1, none + 10, none + 64]);
  });
});
