import { describe, expect, test } from "bun:test";
import { componentEmbed, componentNew } from "@bytecodealliance/jco-transpile/wasm-tools";
import { providerWit } from "../../../scripts/assemblyscript.ts";
import { readComponent } from "../../../src/sandbox/component/reader.ts";
import { INTERFACES, interfaceOf, WORLD_FUNCTIONS } from "../../../src/sandbox/wit/world.ts";

/** A component without content that imports and exports everything a WIT text declares. */
async function dummyOf(wit: string): Promise<Uint8Array> {
  return componentNew(await componentEmbed({ dummy: true, witSource: wit, world: "provider" }));
}

describe("the world as data", () => {
  test("is the world of provider.wit: the same interfaces, functions and signatures", async () => {
    const { imports, plan } = readComponent(await dummyOf(providerWit()));
    expect([...imports].sort()).toEqual([...INTERFACES].sort());
    const lowered = plan.steps
      .flatMap((step) => step.imports)
      .flatMap((given) => ("members" in given ? given.members : []))
      .flatMap(([, source]) => (source.from === "host" ? [source.function] : []));
    expect(lowered.sort()).toEqual(WORLD_FUNCTIONS.map(({ name }) => name).sort());
  });

  test.each([
    ["timeout-ms: u32", "timeout-ms: u64"],
    ["    path-denied,\n    path-not-found,", "    path-not-found,\n    path-denied,"],
    ["body: option<list<u8>>", "body: list<u8>"],
    ["rows-json: string", "rows-text: string"],
  ])("a component built against %p as %p is refused", async (declared, changed) => {
    const wit = providerWit();
    expect(wit).toContain(declared);
    const component = await dummyOf(wit.replace(declared, changed));
    expect(() => readComponent(component)).toThrow(
      expect.objectContaining({ code: "component_signature_mismatch" }),
    );
  });

  test("passes every parameter in registers, and every result through memory", () => {
    for (const { params, result } of WORLD_FUNCTIONS) {
      expect(params.reduce((sum, type) => sum + type.flat, 0)).toBeLessThanOrEqual(16);
      if (result !== null) expect(result.flat).toBeGreaterThan(1);
    }
  });

  test("knows its imports by their full name alone", () => {
    expect(interfaceOf("latchgate:provider/io-http@0.1.0")).toBe("io-http");
    for (const name of [
      "io-http",
      "latchgate:provider/io-http",
      "latchgate:provider/io-http@0.1.1",
      "wasi:io/poll@0.2.0",
    ])
      expect(interfaceOf(name)).toBeNull();
  });
});
