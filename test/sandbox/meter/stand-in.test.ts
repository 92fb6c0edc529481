import { expect, test } from "bun:test";
import { parse } from "@bytecodealliance/jco-transpile/wasm-tools";
import { readComponent } from "../../../src/sandbox/component/reader.ts";
import { ingestComponent } from "../../../src/sandbox/index.ts";
import { meterModule } from "../../../src/sandbox/meter/meter.ts";
import { LoadedComponent } from "../../../src/sandbox/runner/component.ts";
import { MeterState } from "../../../src/sandbox/runner/meter-state.ts";
import { validateComponent } from "../../../src/sandbox/validate.ts";
import { pinOf } from "../build-component.ts";
import { attempt, PLENTY } from "./metered.ts";

/** A component whose second module is given a meter of the component's own making, though it imports none. */
const STAND_IN = `(component
  (core module $meter
    (func (export "refill") (param i32) (result i32) i32.const 0x7fffffff)
    (func (export "grow") (param i32 i32 i32 i32) (result i32) i32.const 65536))
  (core module $main
    (memory (export "memory") 1)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
    (func (export "execute") (param i32 i32) (result i32) (local i32)
      (loop $l
        (local.set 2 (i32.add (local.get 2) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get 2) (i32.const 100000))))
      i32.const 16))
  (core instance $own (instantiate $meter))
  (core instance $i (instantiate $main (with "latchgate:meter" (instance $own))))
  (alias core export $i "memory" (core memory $memory))
  (alias core export $i "cabi_realloc" (core func $realloc))
  (alias core export $i "execute" (core func $execute))
  (func $f (param "task-json" string) (result (result string (error string)))
    (canon lift (core func $execute) (memory $memory) (realloc $realloc)))
  (export "execute" (func $f)))`;

test("a component that gives its modules a meter of its own is refused, though it is valid", async () => {
  const bytes = await parse(STAND_IN);
  await validateComponent(bytes);
  const ingested = ingestComponent({ bytes, pin: pinOf(bytes), origin: "operator", validate: null });
  await expect(ingested).rejects.toMatchObject({ code: "component_unsupported" });
});

const nothing = () => () => undefined;
const NO_HOST = { world: nothing, wasi: nothing, denied: nothing };

test("nor would a runner link it", async () => {
  const { plan, cores } = readComponent(await parse(STAND_IN));
  const loaded = new LoadedComponent(plan, cores.map(meterModule));
  const meter = new MeterState({ ...PLENTY, fuel: 1_000 });
  const { execute } = await loaded.instantiate(1, NO_HOST, meter);
  if (typeof execute !== "function") throw new Error("execute is a function");
  expect(attempt(() => (execute as (...args: readonly number[]) => unknown)(0, 0))).toMatchObject({
    threw: expect.stringContaining("Unreachable"),
  });
  expect(meter.stopped).toBe("fuel_exhausted");
});
