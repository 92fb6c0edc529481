import { describe, expect, test } from "bun:test";
import { parse } from "@bytecodealliance/jco-transpile/wasm-tools";
import { ComponentError } from "../../../src/sandbox/component/cursor.ts";
import { readComponent } from "../../../src/sandbox/component/reader.ts";
import { meterModule } from "../../../src/sandbox/meter/meter.ts";
import { buildComponent } from "../build-component.ts";
import { asksFor } from "../guests.ts";
import { randomFrom } from "./metered.ts";

const PREAMBLE = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const TYPE = [1, 4, 1, 0x60, 0, 0];
const FUNCTION = [3, 2, 1, 0];

function refused(parts: ArrayLike<number>): string {
  try {
    meterModule(Uint8Array.from(parts));
  } catch (error) {
    if (error instanceof ComponentError) return error.code;
    throw error;
  }
  return "taken";
}

/** A module of one function with this body, its locals included, and these sections before it. */
function withBody(body: readonly number[], sections: readonly number[] = []): number[] {
  const code = [1, ...leb(body.length), ...body];
  return [...PREAMBLE, ...TYPE, ...FUNCTION, ...sections, 10, ...leb(code.length), ...code];
}

function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 0x7f) | 0x80, ...leb(value >>> 7)];
}

describe("a module that uses what the sandbox does not run", () => {
  test.each([
    ["an atomic operation", withBody([0, 0xfe, 0x03, 0x00, 0x0b])],
    ["a legacy exception handler", withBody([0, 0x06, 0x40, 0x19, 0x0b, 0x0b])],
    ["a legacy rethrow", withBody([0, 0x09, 0x00, 0x0b])],
    ["a call of a typed reference", withBody([0, 0x14, 0x00, 0x0b])],
    ["ref.as_non_null", withBody([0, 0xd4, 0x0b])],
    ["garbage collection", withBody([0, 0xfb, 0x00, 0x00, 0x0b])],
    ["relaxed vectors", withBody([0, 0xfd, 0x80, 0x02, 0x0b])],
    ["an unknown bulk operation", withBody([0, 0xfc, 0x12, 0x0b])],
    ["a typed null", withBody([0, 0xd0, 0x6e, 0x1a, 0x0b])],
    ["a block of a type of garbage collection", withBody([0, 0x02, 0x6e, 0x0b, 0x0b])],
    ["a local of a type of garbage collection", withBody([1, 1, 0x63, 0x70, 0x0b])],
    ["a structure type", [...PREAMBLE, 1, 3, 1, 0x5f, 0]],
    ["a shared memory", [...PREAMBLE, 5, 4, 1, 3, 1, 2]],
    ["a memory of 64 bits", [...PREAMBLE, 5, 3, 1, 4, 1]],
    ["two memories", [...PREAMBLE, 5, 5, 2, 0, 1, 0, 1]],
    ["access to another memory", withBody([0, 0x41, 0, 0x28, 0x42, 1, 0, 0x1a, 0x0b], [5, 3, 1, 0, 1])],
    ["an imported memory that is shared", [...PREAMBLE, 2, 9, 1, 1, 0x61, 1, 0x62, 2, 3, 1, 2]],
    [
      "an imported memory and one of its own",
      [...PREAMBLE, 2, 8, 1, 1, 0x61, 1, 0x62, 2, 0, 1, 5, 3, 1, 0, 1],
    ],
    ["an imported exception", [...PREAMBLE, ...TYPE, 2, 8, 1, 1, 0x61, 1, 0x62, 4, 0, 0]],
    ["a table with an initialiser", [...PREAMBLE, 4, 9, 1, 0x40, 0, 0x70, 0, 1, 0xd0, 0x70, 0x0b]],
    ["an unknown section", [...PREAMBLE, 14, 1, 0]],
  ])("is refused: %s", (_, module) => {
    expect(refused(module)).toBe("component_unsupported");
  });

  test.each([
    ["imports", '(module (import "latchgate:meter" "refill" (func (param i32) (result i32))))'],
    ["exports", '(module (func (export "latchgate:meter/left") (result i32) i32.const 1))'],
  ])("is refused: the namespace of the meter among its %s", async (_, wat) => {
    await expect(parse(wat).then(meterModule)).rejects.toMatchObject({ code: "component_unsupported" });
  });
});

describe("a module that reaches for what metering adds", () => {
  const GLOBAL = [6, 6, 1, 0x7f, 1, 0x41, 0, 0x0b];
  test.each([
    ["sets the counter", withBody([0, 0x41, 0, 0x24, 1, 0x0b], GLOBAL)],
    ["reads the counter", withBody([0, 0x23, 1, 0x1a, 0x0b], GLOBAL)],
    ["calls the import", withBody([0, 0x10, 1, 0x0b])],
    ["calls an added function", withBody([0, 0x10, 3, 0x0b])],
    ["takes a reference to it", withBody([0, 0xd2, 1, 0x1a, 0x0b])],
    ["exports it", [...PREAMBLE, ...TYPE, ...FUNCTION, 7, 5, 1, 1, 0x61, 0, 1, 10, 4, 1, 2, 0, 0x0b]],
    ["exports the counter", [...PREAMBLE, 7, 5, 1, 1, 0x61, 3, 0]],
    ["starts with it", [...PREAMBLE, ...TYPE, ...FUNCTION, 8, 1, 1, 10, 4, 1, 2, 0, 0x0b]],
    [
      "puts it into a table",
      [...PREAMBLE, ...TYPE, ...FUNCTION, 4, 4, 1, 0x70, 0, 1, 9, 7, 1, 0, 0x41, 0, 0x0b, 1, 1],
    ],
    ["initialises a global with it", [...PREAMBLE, 6, 6, 1, 0x70, 0, 0xd2, 0, 0x0b]],
    ["initialises a global with the counter", [...PREAMBLE, 6, 6, 1, 0x7f, 0, 0x23, 1, 0x0b]],
    ["places data by the counter", [...PREAMBLE, 5, 3, 1, 0, 1, 11, 6, 1, 0, 0x23, 0, 0x0b, 0]],
    ["uses an added type", withBody([0, 0x02, 1, 0x0b, 0x0b])],
    ["declares a function of an added type", [...PREAMBLE, ...TYPE, 3, 2, 1, 1]],
    ["throws what it has not declared", withBody([0, 0x08, 0, 0x0b])],
    ["grows a memory that it has not", withBody([0, 0x41, 0, 0x40, 0, 0x1a, 0x0b])],
  ])("is refused: %s", (_, module) => {
    expect(refused(module)).toBe("component_malformed");
  });
});

describe("a malformed module", () => {
  const END = [0, 0x0b];
  test.each([
    ["nothing", []],
    ["another version", [0x00, 0x61, 0x73, 0x6d, 0x02, 0x00, 0x00, 0x00]],
    ["a section beyond the end", [...PREAMBLE, 1, 100, 0]],
    ["a section twice", [...PREAMBLE, ...TYPE, ...TYPE]],
    ["sections out of order", [...PREAMBLE, ...FUNCTION, ...TYPE]],
    ["a section longer than its content", [...PREAMBLE, 1, 5, 1, 0x60, 0, 0, 0]],
    ["a count beyond its section", [...PREAMBLE, 1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]],
    ["an integer of six bytes", [...PREAMBLE, 1, 6, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]],
    ["an integer of more than 32 bits", [...PREAMBLE, 1, 5, 0xff, 0xff, 0xff, 0xff, 0x1f]],
    ["a body without a function", [...PREAMBLE, ...TYPE, 10, 4, 1, 2, ...END]],
    ["a function without a body", [...PREAMBLE, ...TYPE, ...FUNCTION]],
    ["a body that ends early", withBody([0, 0x02, 0x40])],
    ["a body without an end", withBody([0, 0x01])],
    ["a body that goes on", withBody([0, 0x0b, 0x0b])],
    ["a constant cut short", withBody([0, 0x44, 0, 0, 0x0b])],
    ["an endless constant", withBody([0, 0x42, ...Array.from({ length: 11 }, () => 0x80), 0x00, 0x1a, 0x0b])],
    ["a jump table of many labels", withBody([0, 0x0e, 0xff, 0xff, 0xff, 0x7f, 0x0b])],
  ])("is refused: %s", (_, module) => {
    expect(refused(module)).toBe("component_malformed");
  });

  test.each([
    ["tables", [...PREAMBLE, 4, 52, 17, ...Array.from({ length: 17 }, () => [0x70, 0, 1]).flat()]],
    ["locals", withBody([1, ...leb(10_001), 0x7f, 0x0b])],
    ["locals in groups, past 32 bits", withBody([2, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f, 1, 0x7f, 0x0b])],
    [
      "blocks in each other",
      withBody([0, ...Array.from({ length: 4_200 }, () => [0x02, 0x40]).flat(), 0x0b]),
    ],
    ["bytes in one function", withBody([0, ...Array.from({ length: 512 * 1024 }, () => 0x0b)])],
  ])("is refused: too many %s", (_, module) => {
    expect(refused(module)).toBe("component_too_large");
  });

  test("is refused or metered, whatever byte of a real one is changed: nothing else comes out, and none takes long", async () => {
    const component = await buildComponent(asksFor("https://a.example/", 2));
    const core = coreOf(component);
    const random = randomFrom(7);
    let taken = 0;
    for (let round = 0; round < 1_000; round++) {
      const changed = core.slice(0, round % 5 === 0 ? random() % core.byteLength : core.byteLength);
      for (let left = random() % 4; left >= 0; left--) changed[random() % core.byteLength] = random() & 0xff;
      if (refused(changed) === "taken") taken++;
    }
    // Both happen, or this shows nothing.
    expect(taken).toBeGreaterThan(50);
    expect(taken).toBeLessThan(950);
  }, 30_000);

  test("that the engine would refuse is still refused after metering", async () => {
    const component = await buildComponent(asksFor("https://a.example/", 2));
    const core = coreOf(component);
    const random = randomFrom(11);
    let invalid = 0;
    for (let round = 0; round < 800; round++) {
      const changed = core.slice();
      changed[8 + (random() % (core.byteLength - 8))] = random() & 0xff;
      if (WebAssembly.validate(changed) || refused(changed) !== "taken") continue;
      invalid++;
      expect(WebAssembly.validate(meterModule(changed)), `round ${round}`).toBe(false);
    }
    expect(invalid).toBeGreaterThan(20);
  }, 30_000);
});

/** The component's largest core module. */
function coreOf(component: Uint8Array): Uint8Array<ArrayBuffer> {
  const cores = [...readComponent(component).cores].sort((a, b) => b.byteLength - a.byteLength);
  return Uint8Array.from(cores[0] ?? []);
}
