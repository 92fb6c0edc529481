import { expect, test } from "bun:test";
import { parse } from "@bytecodealliance/jco-transpile/wasm-tools";
import { boundCore } from "../../../src/sandbox/component/bounds.ts";
import { MEMORY_EXPORTS, METER_NAMESPACE } from "../../../src/sandbox/meter/additions.ts";
import { meterModule } from "../../../src/sandbox/meter/meter.ts";
import { MeterState } from "../../../src/sandbox/runner/meter-state.ts";
import { type Exports, PLENTY } from "./metered.ts";

const BODY = `(func (export "size") (result i32) memory.size)
  (func (export "grow") (param i32) (result i32) local.get 0 memory.grow)
  (func (export "peek") (param i32) (result i32) local.get 0 i32.load)
  (func (export "poke") (param i32 i32) local.get 0 local.get 1 i32.store)`;

/** One module that has the memory and one that imports it, both metered, as a runner would link them. */
async function pair(memoryPages: number): Promise<{ owner: Exports; guest: Exports; meter: MeterState }> {
  const meter = new MeterState({ ...PLENTY, memoryPages });
  const owner = link(await parse(`(module (memory (export "memory") 1) ${BODY})`), memoryPages, meter, {});
  const shared: Record<string, unknown> = {};
  for (const name of MEMORY_EXPORTS) shared[name] = owner[`${METER_NAMESPACE}/${name}`];
  const importer = await parse(
    `(module (import "env" "memory" (memory 1)) (import "env" "size" (func (result i32))) ${BODY})`,
  );
  const given = { env: { memory: owner.memory, size: owner.size }, shared };
  return { owner, guest: link(importer, memoryPages, meter, given), meter };
}

function link(
  core: Uint8Array,
  memoryPages: number,
  meter: MeterState,
  given: Record<string, object>,
): Exports {
  const module = new WebAssembly.Module(Uint8Array.from(boundCore(meterModule(core), { memoryPages })));
  const meterImports = { refill: meter.refill, grow: meter.grow, ...given.shared };
  const imports = { ...given, [METER_NAMESPACE]: meterImports } as unknown as Bun.WebAssembly.Imports; // of this test
  return new WebAssembly.Instance(module, imports).exports as unknown as Exports; // the modules above
}

test("modules that share a memory see one size, whoever grows it", async () => {
  const { owner, guest } = await pair(10);
  expect(guest.grow?.(2)).toBe(1);
  expect([owner.size?.(), guest.size?.()]).toEqual([3, 3]);
  expect(owner.grow?.(1)).toBe(3);
  expect([owner.size?.(), guest.size?.()]).toEqual([4, 4]);
  guest.poke?.(4 * 65_536 - 4, 77);
  expect(owner.peek?.(4 * 65_536 - 4)).toBe(77);
});

test("one limit holds for both", async () => {
  const { owner, guest, meter } = await pair(4);
  expect(guest.grow?.(3)).toBe(1);
  expect(guest.grow?.(1)).toBe(-1);
  expect(owner.grow?.(1)).toBe(-1);
  expect(meter.growDenied).toBe(true);
  expect(meter.used().peakPages).toBe(4);
});
