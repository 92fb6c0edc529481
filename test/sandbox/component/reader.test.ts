import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { ComponentError } from "../../../src/sandbox/component/cursor.ts";
import { readComponent } from "../../../src/sandbox/component/reader.ts";
import { buildComponentFromText } from "../build-component.ts";

const component = readFileSync(join(import.meta.dir, "../../../providers/fs/fs.wasm"));

/** A core module that exports what a component needs and does nothing. */
function coreWith(imports: string, exports = ""): string {
  return `(module ${imports}
    (memory (export "memory") 1)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
    (func (export "execute") (param i32 i32) (result i32) i32.const 64)
    ${exports})`;
}

function refusalOf(bytes: Uint8Array): string {
  try {
    readComponent(bytes);
  } catch (error) {
    if (error instanceof ComponentError) return error.code;
    throw error;
  }
  return "accepted";
}

describe("readComponent", () => {
  test("reads what a component consists of", () => {
    const { cores, imports, plan } = readComponent(component);
    expect(imports).toEqual(["io-fs", "io-log"]);
    expect(plan.execute.name).toBe("execute");
    for (const core of cores) expect(WebAssembly.validate(Uint8Array.from(core))).toBe(true);
  });

  test("refuses an import from outside the world", async () => {
    const wit = `package latchgate:provider@0.1.0;
      interface io-exec { run: func(command: string); }
      world provider { import io-exec; export execute: func(task-json: string) -> result<string, string>; }`;
    const core = coreWith('(import "latchgate:provider/io-exec@0.1.0" "run" (func (param i32 i32)))');
    expect(refusalOf(await buildComponentFromText(core, wit))).toBe("component_import_unknown");
  });

  test("refuses a function that an interface of the world does not have", async () => {
    const wit = `package latchgate:provider@0.1.0;
      interface io-log { log-error: func(message: string); }
      world provider { import io-log; export execute: func(task-json: string) -> result<string, string>; }`;
    const core = coreWith('(import "latchgate:provider/io-log@0.1.0" "log-error" (func (param i32 i32)))');
    expect(refusalOf(await buildComponentFromText(core, wit))).toBe("component_import_unknown");
  });

  test("refuses an interface of another version", async () => {
    const wit = `package latchgate:provider@0.2.0;
      interface io-log { log-info: func(message: string); }
      world provider { import io-log; export execute: func(task-json: string) -> result<string, string>; }`;
    const core = coreWith('(import "latchgate:provider/io-log@0.2.0" "log-info" (func (param i32 i32)))');
    expect(refusalOf(await buildComponentFromText(core, wit))).toBe("component_import_unknown");
  });

  test("refuses a component without execute", async () => {
    const wit = "package latchgate:provider@0.1.0; world provider {}";
    expect(refusalOf(await buildComponentFromText(coreWith(""), wit))).toBe("component_export_missing");
  });

  test("refuses execute with another signature", async () => {
    const wit = `package latchgate:provider@0.1.0;
      world provider { export execute: func(task-json: string) -> result<string, list<u8>>; }`;
    expect(refusalOf(await buildComponentFromText(coreWith(""), wit))).toBe("component_signature_mismatch");
  });

  test("refuses further exports", async () => {
    const wit = `package latchgate:provider@0.1.0;
      world provider { export execute: func(task-json: string) -> result<string, string>; export extra: func(); }`;
    const core = coreWith("", '(func (export "extra"))');
    expect(refusalOf(await buildComponentFromText(core, wit))).toBe("component_export_unknown");
  });

  test("refuses a core module", () => {
    expect(refusalOf(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0))).toBe("component_malformed");
  });

  test("refuses every cut of a component, except where only custom sections are missing", () => {
    const whole = readComponent(component);
    let accepted = 0;
    for (let length = component.byteLength - 1; length > 0; length -= 5) {
      const cut = component.subarray(0, length);
      if (refusalOf(cut) !== "accepted") continue;
      accepted++;
      expect(readComponent(cut)).toEqual(whole);
    }
    expect(accepted).toBeLessThanOrEqual(2);
  });

  test("answers any damage with a refusal or a structure, never with another error", () => {
    const damage = fc.array(fc.tuple(fc.nat(component.byteLength - 1), fc.nat(255)), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(damage, (changes) => {
        const bytes = Uint8Array.from(component);
        for (const [at, value] of changes) bytes[at] = value;
        refusalOf(bytes);
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  test("refuses forged counts without reserving memory for them", () => {
    // A type section (7) that says it holds 2^32 - 1 types.
    const forged = [...component.subarray(0, 8), 7, 5, 0xff, 0xff, 0xff, 0xff, 0x0f];
    expect(refusalOf(Uint8Array.from(forged))).toBe("component_malformed");
  });

  test("refuses types that double with each level", () => {
    const types: number[] = [31, 0x6f, 2, 0x73, 0x73];
    for (let level = 0; level < 30; level++) types.push(0x6f, 2, level, level);
    const bytes = Uint8Array.from([...component.subarray(0, 8), 7, types.length, ...types]);
    expect(refusalOf(bytes)).toBe("component_unsupported");
  });
});
