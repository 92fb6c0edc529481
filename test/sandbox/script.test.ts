import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Sandbox } from "../../src/sandbox/index.ts";
import { ingestComponent } from "../../src/sandbox/index.ts";
import { validateComponent } from "../../src/sandbox/validate.ts";
import { pinOf } from "./build-component.ts";
import { LIMITS, openSandbox, respond, run, ScriptedDoor } from "./laboratory.ts";
import { scriptGuest } from "./script-guest.ts";
import { TASK_SCRIPT } from "./task-script.ts";

let sandbox: Sandbox;
let digest = "";

beforeAll(async () => {
  sandbox = await openSandbox();
  const bytes = await scriptGuest(TASK_SCRIPT);
  const component = await ingestComponent({
    bytes,
    pin: pinOf(bytes),
    origin: "operator",
    validate: validateComponent,
  });
  sandbox.register(component);
  digest = component.digest;
}, 120_000);
afterAll(() => sandbox.close());

const task = (name: string, more: object = {}) => JSON.stringify({ do: name, ...more });

describe("a component made from JavaScript", () => {
  test("asks the host and gets its answer", async () => {
    const door = new ScriptedDoor(respond(201, Uint8Array.of(0, 255, 10), [["x-a", "b"]]));
    const outcome = await run(sandbox, digest, { task: task("get", { url: "https://a.test/ü" }), door });
    expect(outcome).toMatchObject({
      status: "ok",
      output: { status: 201, body: [0, 255, 10], headers: [["x-a", "b"]] },
      ioCalls: 1,
    });
    expect(door.asked).toMatchObject([{ kind: "http.request", url: "https://a.test/ü", timeoutMs: 0 }]);
  });

  test("sees a refusal of the host as an exception with its code", async () => {
    const refuses = new ScriptedDoor(({ kind }) => ({ kind, err: "not_granted" }));
    const outcome = await run(sandbox, digest, {
      task: task("refused", { url: "https://a.test/" }),
      door: refuses,
    });
    expect(outcome).toMatchObject({ status: "ok", output: { refusal: "not_granted" } });
  });

  test("keeps nothing between calls", async () => {
    for (let call = 0; call < 3; call++)
      expect(await run(sandbox, digest, { task: task("count") })).toMatchObject({ output: { calls: 1 } });
  });

  test("has a clock, and nothing of the process around it", async () => {
    const before = Date.now();
    const outcome = await run(sandbox, digest, { task: task("clock") });
    if (outcome.status !== "ok") throw new Error(outcome.status);
    const { now } = outcome.output as { now: number };
    expect(now).toBeGreaterThanOrEqual(before);
    expect(now).toBeLessThanOrEqual(Date.now());
    expect(await run(sandbox, digest, { task: task("code") })).toMatchObject({
      output: { evaluated: 42, process: "undefined", fetch: "undefined", require: "undefined" },
    });
  });

  test("costs the same each time, and its text passes unchanged", async () => {
    const outcomes = [];
    for (let call = 0; call < 2; call++)
      outcomes.push(await run(sandbox, digest, { task: task("text", { text: "a\u{1f600}é\0" }) }));
    expect(outcomes[0]).toMatchObject({ output: { text: "a\u{1f600}é\0", length: 4 } });
    const fuel = outcomes.map((outcome) => ("fuel" in outcome ? outcome.fuel : null));
    expect(fuel[0]).toBeGreaterThan(0);
    expect(fuel[1]).toBe(fuel[0] ?? -1);
  });

  const ends: readonly (readonly [name: string, status: string])[] = [
    ["spin", "fuel_exhausted"],
    ["storm", "io_budget_exceeded"],
    ["logs", "fuel_exhausted"],
    ["large", "invalid_output"],
    ["deep", "trap"],
    ["fail", "guest_error"],
    // The engine inside turns refused memory into an exception.
    ["hog", "guest_error"],
  ];
  for (const [name, status] of ends)
    test(`${name}: ${status}, and the next call is served`, async () => {
      const limits = { ...LIMITS, fuel: 40_000_000, memoryMb: 32, responseBytes: 1_024 };
      const outcome = await run(sandbox, digest, { task: task(name, { length: 400_000 }), limits });
      expect(outcome).toMatchObject({ status });
      if ("peakMemoryBytes" in outcome && outcome.peakMemoryBytes !== null)
        expect(outcome.peakMemoryBytes).toBeLessThanOrEqual(32 * 1_048_576);
      expect(await run(sandbox, digest, { task: task("count") })).toMatchObject({ output: { calls: 1 } });
    });

  test("a call that its deadline ends frees the runner", async () => {
    const limits = { ...LIMITS, fuel: 1e12 };
    const deadline = performance.now() + 100;
    expect(await run(sandbox, digest, { task: task("spin"), limits, deadline })).toMatchObject({
      status: "deadline",
    });
    expect(await run(sandbox, digest, { task: task("count") })).toMatchObject({ output: { calls: 1 } });
  });
});

test("the same component with the rest of wasi is refused, with what it imports", async () => {
  const bytes = await scriptGuest("export function execute(task) { return task; }", { stubWasi: false });
  const ingested = ingestComponent({ bytes, pin: pinOf(bytes), origin: "operator", validate: null });
  await expect(ingested).rejects.toMatchObject({
    code: "component_import_unknown",
    message: 'the component imports "wasi:cli/environment@0.2.12"',
  });
}, 120_000);
