import { describe, expect, test } from "bun:test";
import { parse } from "@bytecodealliance/jco-transpile/wasm-tools";
import { boundCore, checkMemories } from "../../../src/sandbox/component/bounds.ts";

interface Bounded {
  readonly memory: WebAssembly.Memory;
  grow(pages: number): number;
  growTable(elements: number): number;
}

async function bounded(memory: string, memoryPages: number, table = "1"): Promise<Bounded> {
  const core = await parse(`(module (memory (export "memory") ${memory}) (table $t ${table} funcref)
    (func (export "grow") (param i32) (result i32) local.get 0 memory.grow)
    (func (export "growTable") (param i32) (result i32) ref.null func local.get 0 table.grow $t))`);
  const module = new WebAssembly.Module(Uint8Array.from(boundCore(core, { memoryPages })));
  return new WebAssembly.Instance(module, {}).exports as unknown as Bounded; // the module above
}

describe("boundCore", () => {
  test("gives a memory without a limit the limit", async () => {
    const { grow, memory } = await bounded("1", 10);
    expect(grow(9)).toBe(1);
    expect(grow(1)).toBe(-1);
    expect(memory.buffer.byteLength).toBe(10 * 65_536);
  });

  test("keeps a lower limit of its own", async () => {
    const { grow } = await bounded("1 3", 10);
    expect(grow(2)).toBe(1);
    expect(grow(1)).toBe(-1);
  });

  test("lowers a higher limit", async () => {
    const { grow } = await bounded("1 500", 10);
    expect(grow(10)).toBe(-1);
  });

  test("refuses a memory that starts above the limit", async () => {
    await expect(bounded("11", 10)).rejects.toMatchObject({ code: "component_too_large" });
  });

  test("limits tables", async () => {
    const { growTable } = await bounded("1", 10);
    expect(growTable(9_999)).toBe(1);
    expect(growTable(1)).toBe(-1);
    await expect(bounded("1", 10, "10001")).rejects.toMatchObject({ code: "component_too_large" });
  });

  test("refuses shared and 64-bit memories", async () => {
    await expect(bounded("1 2 shared", 10)).rejects.toMatchObject({ code: "component_unsupported" });
    await expect(bounded("i64 1", 10)).rejects.toMatchObject({ code: "component_unsupported" });
  });
});

describe("checkMemories", () => {
  const steps = (...modules: readonly number[]) => modules.map((module) => ({ module, imports: [] }));

  test("takes one memory and shim modules without any", async () => {
    const one = await parse("(module (memory 1))");
    const shim = await parse('(module (import "shim" "t" (table 1 funcref)) (import "m" "f" (func)))');
    expect(() => checkMemories([shim, one], steps(0, 1))).not.toThrow();
  });

  test("refuses a second memory, and takes modules that import the one", async () => {
    const one = await parse("(module (memory 1))");
    const imports = await parse('(module (import "m" "memory" (memory 1)))');
    expect(() => checkMemories([one, imports], steps(0, 1))).not.toThrow();
    expect(() => checkMemories([one, one], steps(0, 1))).toThrow(
      expect.objectContaining({ code: "component_unsupported" }),
    );
    expect(() => checkMemories([one, imports], steps(0, 1, 0))).toThrow(
      expect.objectContaining({ code: "component_unsupported" }),
    );
  });

  test("refuses a second instance of the one memory, and instances without end", async () => {
    const one = await parse("(module (memory 1))");
    const none = await parse("(module)");
    const unsupported = expect.objectContaining({ code: "component_unsupported" });
    expect(() => checkMemories([one], steps(0, 0))).toThrow(unsupported);
    expect(() => checkMemories([none], steps(...Array.from({ length: 64 }, () => 0)))).not.toThrow();
    expect(() => checkMemories([none], steps(...Array.from({ length: 65 }, () => 0)))).toThrow(unsupported);
  });
});
