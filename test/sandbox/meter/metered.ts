import { parse } from "@bytecodealliance/jco-transpile/wasm-tools";
import { LEFT_EXPORT, METER_NAMESPACE, START_EXPORT } from "../../../src/sandbox/meter/additions.ts";
import { meterModule } from "../../../src/sandbox/meter/meter.ts";
import { type MeterLimits, MeterState } from "../../../src/sandbox/runner/meter-state.ts";

export type Exports = Record<string, (...args: readonly unknown[]) => unknown>;

export interface Metered {
  readonly exports: Exports;
  readonly meter: MeterState;
}

export const PLENTY: MeterLimits = { fuel: 1e12, memoryPages: 65_536, deadline: Number.POSITIVE_INFINITY };

/** Instantiates a module that is metered already. Throws what its start function throws. */
export function instantiate(
  metered: Uint8Array<ArrayBuffer> | WebAssembly.Module,
  meter: MeterState,
  imports: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {},
): Exports {
  const module = metered instanceof WebAssembly.Module ? metered : new WebAssembly.Module(metered);
  const all = { ...imports, [METER_NAMESPACE]: { refill: meter.refill, grow: meter.grow } };
  const instance = new WebAssembly.Instance(module, all as Bun.WebAssembly.Imports); // functions and globals of tests
  const exports = instance.exports as unknown as Exports; // the modules of these tests export functions, mostly
  meter.joined(exports[LEFT_EXPORT] as () => number); // every metered module has it
  exports[START_EXPORT]?.();
  return exports;
}

/** From the text format to a running, metered instance. */
export async function meterText(wat: string, limits: Partial<MeterLimits> = {}): Promise<Metered> {
  const meter = new MeterState({ ...PLENTY, ...limits });
  return { meter, exports: instantiate(meterModule(await parse(wat)), meter) };
}

/** What a call gave: its result, or how it ended. The engine's remark on the caller's expression is left out. */
export function attempt(call: () => unknown): { readonly result: unknown } | { readonly threw: string } {
  try {
    return { result: call() };
  } catch (error) {
    if (!(error instanceof Error)) return { threw: "exception" };
    return { threw: `${error.name}: ${error.message.replace(/ \(evaluating '.*$/s, "")}` };
  }
}

/** Seeded numbers below 2^32 (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  };
}
