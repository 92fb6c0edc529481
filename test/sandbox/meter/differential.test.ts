import { afterAll, beforeAll, expect } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ComponentError } from "../../../src/sandbox/component/cursor.ts";
import { meterModule } from "../../../src/sandbox/meter/meter.ts";
import { MeterState } from "../../../src/sandbox/runner/meter-state.ts";
import { requireTool } from "../../require-tool.ts";
import { attempt, type Exports, instantiate, PLENTY, randomFrom } from "./metered.ts";

/** How many random modules; more of them by this variable, from other seeds by the other one. */
const MODULES = Number(process.env.LATCHGATE_METER_FUZZ ?? 100);
const SEED = Number(process.env.LATCHGATE_METER_SEED ?? 1);

/** Debian's: npm puts first a slow one, which comes with the compiler of AssemblyScript. */
const WASM_OPT = Bun.which("wasm-opt", {
  PATH: (process.env.PATH ?? "")
    .split(":")
    .filter((folder) => !folder.includes("node_modules"))
    .join(":"),
});

/** Each version knows others. */
const FEATURES = [
  "gc",
  "gc-nn-locals",
  "threads",
  "exception-handling",
  "memory64",
  "relaxed-simd",
  "typed-function-references",
].map((feature) => `--disable-${feature}`);

let folder: string;
let features: readonly string[];
beforeAll(() => {
  const help = WASM_OPT === null ? "" : Bun.spawnSync([WASM_OPT, "--help"]).stdout.toString();
  features = FEATURES.filter((flag) => help.includes(flag));
  folder = mkdtempSync(join(tmpdir(), "meter-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A valid module of binaryen's making, from random bytes. */
function randomModule(seed: number): Uint8Array<ArrayBuffer> {
  const random = randomFrom(seed);
  const input = join(folder, "input");
  const output = join(folder, "output.wasm");
  writeFileSync(
    input,
    Uint8Array.from({ length: 2_000 + (random() % 6_000) }, () => random() & 0xff),
  );
  // With reference types this version writes, more often than not, types of garbage collection all the same.
  const references = seed % 4 === 0 ? [] : ["--disable-reference-types"];
  const flags = ["--all-features", ...features, ...references];
  const made = Bun.spawnSync([WASM_OPT ?? "", "-ttf", input, ...flags, "-o", output]);
  if (made.exitCode !== 0) throw new Error(`wasm-opt: ${made.stderr.toString()}`);
  return Uint8Array.from(readFileSync(output));
}

/** Imports that do nothing, and what they were called with. */
function recordedImports(module: WebAssembly.Module) {
  const calls: string[] = [];
  const imports: Record<string, Record<string, unknown>> = {};
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    if (kind !== "function") continue;
    const namespace = imports[from] ?? {};
    imports[from] = namespace;
    namespace[name] = (...args: readonly unknown[]) => {
      calls.push(`${name}(${args.map(told).join()})`);
    };
  }
  return { calls, imports };
}

function told(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(told).join()}]`;
  if (typeof value === "function" || typeof value === "object") return value === null ? "null" : typeof value;
  return Object.is(value, -0) ? "-0" : String(value);
}

/** Calls every export in turn, and tells everything that there is to see. Null when the stack was exhausted. */
function behaviour(exports: Exports, calls: readonly string[]): string[] | null {
  const seen: string[] = [];
  for (const name of Object.keys(exports)
    .filter((key) => !key.startsWith("latchgate:"))
    .sort()) {
    const exported: unknown = exports[name];
    if (typeof exported !== "function") continue;
    // Text becomes a number and a big integer alike.
    const args = Array.from({ length: exported.length }, (_, index) => String(index * 7));
    const ended = attempt(() => (exported as (...args: readonly unknown[]) => unknown)(...args)); // checked above
    const text = "threw" in ended ? ended.threw : told(ended.result);
    if (text.startsWith("RangeError")) return null;
    seen.push(`${name} ${text}`);
  }
  return [...seen, ...calls];
}

const withWasmOpt = requireTool(WASM_OPT ?? "wasm-opt of a package", "apt-get install binaryen");

withWasmOpt(
  `${MODULES} random modules do after metering what they did before, at the same cost each time`,
  () => {
    let compared = 0;
    for (let seed = SEED; seed < SEED + MODULES; seed++) {
      const original = randomModule(seed);
      const rewritten = meteredOrNull(original);
      // Now and then it writes a type of garbage collection after all.
      if (rewritten === null) continue;
      // What the engine does not take must not become something that it takes.
      expect(WebAssembly.validate(rewritten), `seed ${seed}`).toBe(WebAssembly.validate(original));
      if (!WebAssembly.validate(original)) continue;
      const metered = new WebAssembly.Module(rewritten);
      const plain = new WebAssembly.Module(original);
      const before = recordedImports(plain);
      const { exports } = new WebAssembly.Instance(plain, before.imports as Bun.WebAssembly.Imports); // made for it
      const wanted = behaviour(exports as unknown as Exports, before.calls); // called only if functions

      const fuel: number[] = [];
      for (let round = 0; round < 2 && wanted !== null; round++) {
        const meter = new MeterState(PLENTY);
        const after = recordedImports(plain);
        const got = behaviour(instantiate(metered, meter, after.imports), after.calls);
        if (got === null) break;
        expect(got, `seed ${seed}`).toEqual(wanted);
        fuel.push(meter.used().fuel);
      }
      if (fuel.length < 2) continue;
      expect(fuel[0], `seed ${seed}`).toBe(fuel[1] ?? -1);
      expect(fuel[0], `seed ${seed}`).toBeGreaterThan(0);
      compared++;
    }
    expect(compared).toBeGreaterThan(MODULES / 4);
    if (process.env.LATCHGATE_METER_FUZZ !== undefined)
      console.log(`${compared} of ${MODULES} modules compared`);
  },
  Math.max(300_000, MODULES * 3_000),
);

function meteredOrNull(module: Uint8Array): Uint8Array<ArrayBuffer> | null {
  try {
    return meterModule(module);
  } catch (error) {
    if (error instanceof ComponentError) return null;
    throw error;
  }
}
