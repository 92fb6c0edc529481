import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Sandbox } from "../../src/sandbox/index.ts";
import { buildComponentFromText } from "./build-component.ts";
import { admitBytes, LIMITS, openSandbox, run } from "./laboratory.ts";
import { textGuest } from "./text-guest.ts";

let sandbox: Sandbox;

beforeAll(async () => {
  sandbox = await openSandbox();
});

afterAll(() => sandbox.close());

async function does(body: string, parts?: string, memory?: string): Promise<string> {
  return admitBytes(sandbox, await textGuest(body, parts, memory));
}

describe("a trap is told by its kind", () => {
  test.each([
    ["unreachable", "unreachable"],
    ["division", "(drop (i32.div_s (i32.const 1) (i32.const 0)))"],
    ["division", "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))"],
    ["conversion", "(drop (i32.trunc_f32_s (f32.const nan)))"],
    ["out_of_bounds", "(drop (i32.load (i32.const 70000)))"],
    ["out_of_bounds", "(memory.fill (i32.const 65536) (i32.const 0) (i32.const 9))"],
    ["out_of_bounds", "(table.set $t (i32.const 9) (ref.null func))"],
    ["indirect_call", "(call_indirect $t (type $none) (i32.const 0))"],
    ["indirect_call", "(call_indirect $t (type $none) (i32.const 1))"],
    ["indirect_call", "(call_indirect $t (type $none) (i32.const 9))"],
    ["uncaught_exception", "(throw $e)"],
    ["abi", "(return (i32.const 17))"],
  ])("%s: %s", async (kind, body) => {
    const outcome = await run(sandbox, await does(body));
    expect(outcome).toMatchObject({ status: "trap", kind, fuel: expect.any(Number) });
    expect(outcome).not.toMatchObject({ detail: expect.stringContaining("evaluating") });
  });
});

describe("memory above the limit", () => {
  const limits = { ...LIMITS, memoryMb: 1 };
  const GROW = "(memory.grow (i32.const 16))";

  test("is refused, and nothing else when the guest lives on without", async () => {
    const outcome = await run(sandbox, await does(`(drop ${GROW})`), { limits });
    expect(outcome).toMatchObject({ status: "ok", peakMemoryBytes: 65_536 });
  });

  test("is named when a trap follows", async () => {
    const digest = await does(`(if (i32.lt_s ${GROW} (i32.const 0)) (then unreachable))`);
    expect(await run(sandbox, digest, { limits })).toMatchObject({ status: "memory_limit" });
    expect(await run(sandbox, digest)).toMatchObject({ status: "ok", peakMemoryBytes: 17 * 65_536 });
  });

  test("is not named for a trap after memory that was given", async () => {
    const digest = await does("(drop (memory.grow (i32.const 15))) unreachable");
    expect(await run(sandbox, digest, { limits })).toMatchObject({ status: "trap", kind: "unreachable" });
  });

  test("is refused to a component that starts with it", async () => {
    expect(await run(sandbox, await does("", "", "17"), { limits })).toMatchObject({
      status: "memory_limit",
      fuel: 0,
      detail: expect.stringContaining("starts with 17 pages"),
    });
  });

  test("cannot be had page by page, nor the time to try", async () => {
    const digest = await does(
      "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable",
    );
    const outcome = await run(sandbox, digest, { limits: { ...LIMITS, memoryMb: 64, fuel: 2_000_000 } });
    expect(outcome).toMatchObject({ status: "memory_limit", peakMemoryBytes: 64 * 1_048_576 });
  });
});

test("a call pays for each call of the host, and for the bytes that cross", async () => {
  const log = `(import "latchgate:provider/io-log@0.1.0" "log-info" (func $log (param i32 i32)))`;
  const cost = async (bytes: number) => {
    const core = `(module ${log} (memory (export "memory") 2)
      (data (i32.const 16) "\\00\\00\\00\\00\\20\\00\\00\\00\\02\\00\\00\\00") (data (i32.const 32) "{}")
      (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
      (func (export "execute") (param i32 i32) (result i32) (call $log (i32.const 64) (i32.const ${bytes})) i32.const 16))`;
    const outcome = await run(sandbox, await admitBytes(sandbox, await buildComponentFromText(core)));
    if (outcome.status !== "ok") throw new Error(outcome.status);
    return outcome.fuel ?? 0;
  };
  const none = await cost(0);
  expect(none).toBeGreaterThan(1_000);
  expect(await cost(65_536)).toBe(none + 65_536 / 16);
});
