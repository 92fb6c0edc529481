import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { compileCore } from "../../../scripts/assemblyscript.ts";
import { meterModule } from "../../../src/sandbox/meter/meter.ts";
import { MeterState } from "../../../src/sandbox/runner/meter-state.ts";
import { COMPUTES } from "../../bench/guests.ts";
import { requireTool } from "../../require-tool.ts";
import { type Exports, instantiate, PLENTY } from "./metered.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "meter-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Calls each of these on the module as it is and on the metered one; the fuel of two rounds. */
function sameResults(core: Uint8Array, calls: readonly (readonly [string, number])[]): void {
  const original = Uint8Array.from(core);
  const plain = new WebAssembly.Instance(new WebAssembly.Module(original), {}).exports as unknown as Exports; // numbers in, numbers out
  const metered = new WebAssembly.Module(meterModule(original));
  const rounds = [0, 1].map(() => {
    const meter = new MeterState(PLENTY);
    const exports = instantiate(metered, meter);
    return calls.map(([name, argument]) => [exports[name]?.(argument), meter.used().fuel] as const);
  });
  const wanted = calls.map(([name, argument]) => plain[name]?.(argument));
  expect(rounds[0]?.map(([result]) => result)).toEqual(wanted);
  expect(wanted.every((result) => typeof result === "number")).toBe(true);
  expect(rounds[1]).toEqual(rounds[0]);
}

test("AssemblyScript computes the same, at the same cost each time", async () => {
  const core = await compileCore("guest/index.ts", { "guest/index.ts": COMPUTES });
  sameResults(core, [
    ["sha256", 50],
    ["sieve", 2],
    ["fib", 15],
    ["json", 3],
  ]);
});

const C = `
#define EXPORT(name) __attribute__((export_name(#name))) unsigned name
typedef unsigned (*step)(unsigned);
static unsigned turn(unsigned x) { return (x << 7) | (x >> 25); }
static unsigned mix(unsigned x) { return x * 2654435761u ^ (x >> 13); }
static unsigned odd(unsigned x) { switch (x % 9) { case 0: return x + 1; case 1: return x ^ 77; case 2: return x << 3;
  case 3: return x - 9; case 5: return ~x; case 7: return x / 3; default: return x | 1; } }
static volatile step steps[3] = { turn, mix, odd };
static unsigned char room[70000];
static unsigned numbers[4096];

EXPORT(jumps)(unsigned n) { unsigned x = n; for (unsigned i = 0; i < 5000; i++) x = steps[x % 3](x + i); return x; }
EXPORT(sorts)(unsigned n) {
  for (unsigned i = 0; i < 4096; i++) numbers[i] = mix(i + n);
  for (unsigned gap = 2048; gap; gap /= 2) for (unsigned i = gap; i < 4096; i++) {
    unsigned v = numbers[i], j = i;
    for (; j >= gap && numbers[j - gap] > v; j -= gap) numbers[j] = numbers[j - gap];
    numbers[j] = v;
  }
  unsigned x = 0; for (unsigned i = 0; i < 4096; i++) x = x * 31 + numbers[i]; return x;
}
EXPORT(copies)(unsigned n) {
  __builtin_memset(room, n, sizeof room); unsigned x = 0;
  for (unsigned i = 1; i < 300; i++) { __builtin_memcpy(room + i * 7, room + 40000, i * 11); room[40000 + i] = i * n; }
  for (unsigned i = 0; i < sizeof room; i++) x = x * 33 + room[i]; return x;
}
EXPORT(grows)(unsigned n) {
  unsigned x = 0; for (unsigned i = 0; i < 50; i++) x = x * 3 + __builtin_wasm_memory_grow(0, i % 4 + n);
  return x + __builtin_wasm_memory_size(0);
}
static unsigned deep(unsigned n, unsigned x) { return n ? mix(deep(n - 1, x + n)) : x; }
EXPORT(recurses)(unsigned n) { return deep(300 + n, n); }
EXPORT(floats)(unsigned n) { double s = n; for (int i = 1; i < 2000; i++) s += 1.0 / (i * i) - (float)s * 1e-7; return (unsigned)(s * 1e6); }
`;

const withClang = requireTool("clang", "apt-get install clang lld");

withClang("C computes the same, at each level of optimisation, at the same cost each time", () => {
  const source = join(folder, "guest.c");
  const output = join(folder, "guest.wasm");
  writeFileSync(source, C);
  const flags = ["--target=wasm32", "-nostdlib", "-fno-builtin", "-mbulk-memory", "-msimd128", "-mtail-call"];
  for (const level of ["-O0", "-O2", "-O3"]) {
    const command = [
      "clang",
      ...flags,
      level,
      "-Wl,--no-entry",
      "-Wl,-z,stack-size=65536",
      "-o",
      output,
      source,
    ];
    const made = Bun.spawnSync(command);
    if (made.exitCode !== 0) throw new Error(`clang: ${made.stderr.toString()}`);
    const names = ["jumps", "sorts", "copies", "grows", "recurses", "floats"];
    const calls = names.flatMap((name) => [1, 12].map((n) => [name, n] as const));
    sameResults(readFileSync(output), calls);
  }
});

test("large modules of other compilers are taken, and valid afterwards", () => {
  const vendor = join(
    dirname(createRequire(import.meta.url).resolve("@bytecodealliance/jco-transpile/wasm-tools")),
    "../vendor",
  );
  for (const name of ["wasm-tools", "js-component-bindgen-component"]) {
    const core = readFileSync(join(vendor, `${name}.core.wasm`));
    expect(core.byteLength).toBeGreaterThan(1_000_000);
    const metered = meterModule(core);
    expect(WebAssembly.validate(metered)).toBe(true);
    expect(metered.byteLength).toBeLessThan(core.byteLength * 1.15);
  }
});
