import { afterAll, beforeAll, describe, expect } from "bun:test";
import type { IngestedComponent, Sandbox } from "../../src/sandbox/index.ts";
import { ingestComponent } from "../../src/sandbox/index.ts";
import { validateComponent } from "../../src/sandbox/validate.ts";
import { requireTool } from "../require-tool.ts";
import { pinOf } from "./build-component.ts";
import { cGuest } from "./c-guest.ts";
import { HOSTILE_C } from "./hostile-c.ts";
import { LIMITS, openSandbox, respond, run, ScriptedDoor } from "./laboratory.ts";

let sandbox: Sandbox;
let component: IngestedComponent;
const withClang = requireTool("clang", "apt-get install clang lld");

beforeAll(async () => {
  sandbox = await openSandbox();
  if (Bun.which("clang") === null) return;
  const bytes = await cGuest(HOSTILE_C);
  component = await ingestComponent({
    bytes,
    pin: pinOf(bytes),
    origin: "operator",
    validate: validateComponent,
  });
  sandbox.register(component);
}, 60_000);
afterAll(() => sandbox.close());

const abi = { status: "trap", kind: "abi" };
const fuel = { status: "fuel_exhausted" };

/** What it does, how it ends, and how often the door was asked. */
const CASES: readonly (readonly [letter: string, does: string, ends: object, asked: number])[] = [
  ["a", "passes text at an address beyond its memory", abi, 0],
  ["b", "passes text of four gigabytes", abi, 0],
  ["c", "passes a list of two thousand million headers", abi, 0],
  ["d", "passes a list across the end of the address space", abi, 0],
  ["e", "passes a url that is not utf-8", abi, 0],
  ["f", "gives the host memory beyond its own", abi, 1],
  ["g", "gives the host memory that is not aligned", abi, 1],
  ["h", "calls the host while the host asks for memory", { status: "trap" }, 1],
  ["i", "spins while the host asks for memory", fuel, 1],
  ["j", "answers from beyond its memory", abi, 0],
  ["k", "answers with four gigabytes", { status: "invalid_output" }, 0],
  ["l", "answers with an arm that there is not", abi, 0],
  ["m", "answers at the end of the address space", abi, 0],
  ["n", "answers at an address that is not aligned", abi, 0],
  ["o", "answers with half a surrogate pair", { status: "invalid_output" }, 0],
  ["p", "fails with what is not utf-8", { status: "invalid_output" }, 0],
  ["q", "recurses through the stack that it keeps in memory", { status: "trap" }, 0],
  ["r", "calls through a pointer that leads nowhere", { status: "trap" }, 0],
  ["s", "calls a function as what it is not", { status: "trap" }, 0],
  ["t", "writes through all of memory and on", { status: "trap", kind: "out_of_bounds" }, 0],
  ["u", "floods the log", fuel, 0],
  ["v", "floods the host with calls", { status: "io_budget_exceeded" }, 3],
  ["w", "passes an option that is neither there nor absent", abi, 0],
  ["x", "wants its answer written beyond its memory", abi, 1],
  ["y", "takes all memory and gives up", { status: "memory_limit" }, 0],
];

describe("a component in C", () => {
  for (const [letter, does, ends, asked] of CASES)
    withClang(`${does}: it ends alone`, async () => {
      const door = new ScriptedDoor(respond(200, "body"));
      const limits = { ...LIMITS, fuel: 3_000_000, memoryMb: 4, ioCalls: 3 };
      const outcome = await run(sandbox, component.digest, { task: `"${letter}"`, limits, door });
      expect(outcome).toMatchObject(ends);
      expect(door.asked).toHaveLength(asked);
      if ("logs" in outcome) expect(outcome.logs.length).toBeLessThanOrEqual(256);
      if ("peakMemoryBytes" in outcome)
        expect(outcome.peakMemoryBytes ?? 0).toBeLessThanOrEqual(4 * 1_048_576);
      expect(await run(sandbox, component.digest, { task: '"z"' })).toMatchObject({ status: "ok" });
    });

  withClang("none of that has cost a runner, but for calls that were under way", () => {
    expect(sandbox.stats().lost).toBeLessThanOrEqual(1);
  });
});
