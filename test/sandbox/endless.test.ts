import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Sandbox } from "../../src/sandbox/index.ts";
import { admitBytes, LIMITS, openSandbox, run } from "./laboratory.ts";
import { textGuest } from "./text-guest.ts";

let sandbox: Sandbox;

beforeAll(async () => {
  sandbox = await openSandbox();
});

afterAll(() => sandbox.close());

/** Where the meter fails, the deadline ends the call, and the outcome says so. */
async function ends(parts: string) {
  const digest = await admitBytes(sandbox, await textGuest("(call $run)", parts, "16"));
  return run(sandbox, digest, {
    limits: { ...LIMITS, fuel: 200_000 },
    deadline: performance.now() + 10_000,
  });
}

describe("a guest that does not end", () => {
  test.each([
    ["an empty loop", "(func $run (loop $l (br $l)))"],
    [
      "a loop that counts",
      "(func $run (local i32) (loop $l (local.set 0 (i32.add (local.get 0) (i32.const 1))) (br_if $l (i32.const 1))))",
    ],
    [
      "loops in each other",
      "(func $run (loop $a (loop $b (loop $c (br_if $c (i32.const 0)) (br_if $b (i32.const 0))) (br $a))))",
    ],
    ["a loop of jump tables", "(func $run (loop $a (loop $b (br_table $a $b $a (i32.const 1)))))"],
    ["a tail call to itself", "(func $run (return_call $run))"],
    ["tail calls to each other", "(func $run (return_call $g)) (func $g (return_call $run))"],
    [
      "tail calls through a table",
      `(table $own funcref (elem $run))
       (func $run (return_call_indirect $own (type $none) (i32.const 0)))`,
    ],
    ["calls that come back", "(func $f) (func $run (loop $l (call $f) (br $l)))"],
    [
      "a loop that throws and catches",
      `(func $run (loop $l (block $c (try_table (catch_all $c) (throw $e))) (br $l)))`,
    ],
    [
      "a loop in an exception handler around everything",
      `(func $spin (loop $l (br $l)))
       (func $run (loop $again (block $c (try_table (catch_all $c) (call $spin))) (br $again)))`,
    ],
    [
      "fills of memory",
      "(func $run (loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 1048576)) (br $l)))",
    ],
    [
      "copies of memory",
      "(func $run (loop $l (memory.copy (i32.const 0) (i32.const 64) (i32.const 1048500)) (br $l)))",
    ],
    [
      "a table filled over and over",
      "(table $own 10000 funcref) (func $run (loop $l (table.fill $own (i32.const 0) (ref.null func) (i32.const 10000)) (br $l)))",
    ],
    [
      "a table copied over and over",
      "(table $own 10000 funcref) (func $run (loop $l (table.copy $own $own (i32.const 0) (i32.const 1) (i32.const 9999)) (br $l)))",
    ],
    ["memory that is refused", "(func $run (loop $l (drop (memory.grow (i32.const 65536))) (br $l)))"],
  ])("runs out of fuel, and catches nothing of that: %s", async (_, parts) => {
    expect(await ends(parts)).toMatchObject({ status: "fuel_exhausted", fuel: 200_000 });
  });

  test("did so alone: its runner has served them all", () => {
    expect(sandbox.stats().lost).toBe(0);
  });
});
