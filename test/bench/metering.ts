/**
 * What metering costs: the same core module as it is and metered, in turns, in a process set up as a runner is.
 * Prints one JSON line; `sandbox.ts` starts it.
 */
import { compileCore } from "../../scripts/assemblyscript.ts";
import { boundCore } from "../../src/sandbox/component/bounds.ts";
import { LEFT_EXPORT, METER_NAMESPACE, START_EXPORT } from "../../src/sandbox/meter/additions.ts";
import { meterModule } from "../../src/sandbox/meter/meter.ts";
import { MeterState } from "../../src/sandbox/runner/meter-state.ts";
import { COMPUTES } from "./guests.ts";

export interface MeteringRow {
  readonly name: string;
  /** Medians, milliseconds. */
  readonly plainMs: number;
  readonly meteredMs: number;
  readonly fuel: number;
}

export interface MeteringReport {
  readonly rows: readonly MeteringRow[];
  /** Of rewriting the module; median, milliseconds. */
  readonly rewriteMs: number;
  readonly plainBytes: number;
  readonly meteredBytes: number;
}

const WORK = [
  ["sha256", 20_000],
  ["sieve", 200],
  ["fib", 32],
  ["json", 500],
] as const;

const ROUNDS = 15;
const PAGES = 1_024;

type Guest = Record<string, (rounds: number) => number>;

function instantiate(module: WebAssembly.Module, meter: MeterState): Guest {
  const imports = { [METER_NAMESPACE]: { refill: meter.refill, grow: meter.grow } };
  return new WebAssembly.Instance(module, imports).exports as unknown as Guest; // COMPUTES, and what metering adds
}

function median(times: readonly number[]): number {
  return [...times].sort((a, b) => a - b)[times.length >> 1] ?? Number.NaN;
}

function timed(call: () => unknown): number {
  const began = performance.now();
  call();
  return performance.now() - began;
}

async function measure(): Promise<MeteringReport> {
  const core = await compileCore("guest/index.ts", { "guest/index.ts": COMPUTES });
  const metered = meterModule(core);
  const modules = [core, metered].map(
    (bytes) => new WebAssembly.Module(Uint8Array.from(boundCore(bytes, { memoryPages: PAGES }))),
  ) as [WebAssembly.Module, WebAssembly.Module]; // of two, two
  const limits = { fuel: 1e13, memoryPages: PAGES, deadline: Number.POSITIVE_INFINITY };
  const rows = WORK.map(([name, rounds]): MeteringRow => {
    const meter = new MeterState(limits);
    const [plain, charged] = [instantiate(modules[0], meter), instantiate(modules[1], meter)];
    meter.joined(() => charged[LEFT_EXPORT]?.(0) ?? 0);
    charged[START_EXPORT]?.(0);
    const times: { plain: number[]; metered: number[] } = { plain: [], metered: [] };
    let fuel = 0;
    for (let round = 0; round < ROUNDS; round++) {
      let expected = 0;
      let got = 0;
      times.plain.push(
        timed(() => {
          expected = plain[name]?.(rounds) ?? Number.NaN;
        }),
      );
      const before = meter.used().fuel;
      times.metered.push(
        timed(() => {
          got = charged[name]?.(rounds) ?? Number.NaN;
        }),
      );
      fuel = meter.used().fuel - before;
      if (expected !== got) throw new Error(`${name} gives ${got} metered and ${expected} as it is`);
    }
    // The first rounds are the engine's slower tiers.
    return { name, plainMs: median(times.plain.slice(5)), meteredMs: median(times.metered.slice(5)), fuel };
  });
  const rewrites = Array.from({ length: 200 }, () => timed(() => meterModule(core)));
  return { rows, rewriteMs: median(rewrites), plainBytes: core.byteLength, meteredBytes: metered.byteLength };
}

if (import.meta.main) console.log(JSON.stringify(await measure()));
