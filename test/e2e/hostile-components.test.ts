/**
 * Components that do their worst, in four languages, in a gate as it ships: each ends with the code that says why, in
 * its answer and in its signed receipt, and nobody else is the worse for it.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { httpText } from "../actions/manifests.ts";
import { digestOf, type GateProcess, openPolicy, ROOT, runBinary, startGate } from "../gate-process.ts";
import { payloadOf, readRows } from "../ledger/forge.ts";
import { requireTool } from "../require-tool.ts";
import { buildComponent } from "../sandbox/build-component.ts";
import { cGuest } from "../sandbox/c-guest.ts";
import * as guests from "../sandbox/guests.ts";
import { HOSTILE_C } from "../sandbox/hostile-c.ts";
import { TASK_SCRIPT } from "../sandbox/task-script.ts";
import { textGuest } from "../sandbox/text-guest.ts";
import { startUpstream, type Upstream } from "../upstream.ts";
import { WireAgent, type WireAnswer } from "../wire-client.ts";

/** What it does, what the word or letter for it is, how it ends, and how many host calls it has made by then. */
type Case = readonly [does: string, word: string, code: string, hostCalls?: number];

const SCRIPT: readonly Case[] = [
  ["loops", "spin", "fuel_exhausted"],
  ["calls the host for ever", "storm", "io_budget_exceeded", 3],
  ["logs for ever", "logs", "fuel_exhausted"],
  ["takes memory for ever: its engine tells of it as its own error", "hog", "guest_error"],
  ["recurses without end", "deep", "trap_out_of_bounds"],
  ["fails", "fail", "guest_error"],
];

const C: readonly Case[] = [
  ["passes text at an address beyond its memory", "a", "trap_abi"],
  ["passes text of four gigabytes", "b", "trap_abi"],
  ["passes a list of two thousand million headers", "c", "trap_abi"],
  ["passes a list across the end of the address space", "d", "trap_abi"],
  ["passes a url that is not utf-8", "e", "trap_abi"],
  ["gives the host memory beyond its own", "f", "trap_abi", 1],
  ["spins while the host asks for memory", "i", "fuel_exhausted", 1],
  ["answers from beyond its memory", "j", "trap_abi"],
  ["answers with four gigabytes", "k", "invalid_output"],
  ["answers with an arm that there is not", "l", "trap_abi"],
  ["answers at the end of the address space", "m", "trap_abi"],
  ["answers at an address that is not aligned", "n", "trap_abi"],
  ["answers with half a surrogate pair", "o", "invalid_output"],
  ["fails with what is not utf-8", "p", "invalid_output"],
  ["recurses through the stack that it keeps in memory", "q", "trap_out_of_bounds"],
  ["calls through a pointer that leads nowhere", "r", "trap_indirect_call"],
  ["writes through all of memory and on", "t", "trap_out_of_bounds"],
  ["floods the log", "u", "fuel_exhausted"],
  ["floods the host with calls", "v", "io_budget_exceeded", 3],
  ["passes an option that is neither there nor absent", "w", "trap_abi"],
  ["wants its answer written beyond its memory", "x", "trap_abi", 1],
  ["takes all memory and gives up", "y", "memory_limit"],
];

/** One component each, by action id: AssemblyScript, and the text format for what no compiler writes. */
const SINGLE: Readonly<
  Record<string, readonly [does: string, component: () => Promise<Uint8Array>, code: string]>
> = {
  as_loop: ["loops", () => buildComponent(guests.SPINS), "fuel_exhausted"],
  as_recursion: ["recurses for ever, never deep", () => buildComponent(guests.RECURSES), "fuel_exhausted"],
  as_overflow: ["recurses without end", () => buildComponent(guests.OVERFLOWS), "stack_overflow"],
  as_hog: ["takes memory for ever", () => buildComponent(guests.takesMemory(100_000)), "memory_limit"],
  as_output: ["answers with 8 MB", () => buildComponent(guests.answersLength(8_000_000)), "invalid_output"],
  as_text: ["answers with no json", () => buildComponent(guests.answers("not json")), "invalid_output"],
  as_logs: ["logs for ever", () => buildComponent(guests.LOGS_FOREVER), "fuel_exhausted"],
  as_trap: ["traps", () => buildComponent(guests.TRAPS), "trap_unreachable"],
  as_error: ["fails", () => buildComponent(guests.FAILS), "guest_error"],
  wat_start: [
    "loops in a start function",
    () => textGuest("", "(func $s (loop $l (br $l))) (start $s)"),
    "fuel_exhausted",
  ],
  wat_table: [
    "grows its table until it may not, and traps",
    () =>
      textGuest(
        "(loop $l (br_if $l (i32.ge_s (table.grow $t (ref.null func) (i32.const 1)) (i32.const 0)))) unreachable",
      ),
    "trap_unreachable",
  ],
  wat_tables: [
    "grows its table for ever",
    () => textGuest("(loop $l (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $l))"),
    "fuel_exhausted",
  ],
  wat_grow: [
    "asks for memory for ever",
    () => textGuest("(loop $l (drop (memory.grow (i32.const 1))) (br $l))"),
    "fuel_exhausted",
  ],
  wat_catch: [
    "catches everything and goes on",
    () =>
      textGuest(
        "(loop $again (block $c (try_table (catch_all $c) (call $spin))) (br $again))",
        "(func $spin (loop $l (br $l)))",
      ),
    "fuel_exhausted",
  ],
  wat_division: [
    "divides by zero",
    () => textGuest("(drop (i32.div_u (i32.const 1) (i32.const 0)))"),
    "trap_division",
  ],
  wat_conversion: [
    "converts no number",
    () => textGuest("(drop (i32.trunc_f64_s (f64.const nan)))"),
    "trap_conversion",
  ],
  wat_indirect: [
    "calls a function as what it is not",
    () => textGuest("(call_indirect $t (type $none) (i32.const 1))"),
    "trap_indirect_call",
  ],
  wat_pointer: ["answers at no address", () => textGuest("(return (i32.const -4))"), "trap_abi"],
  wat_memory: ["starts with more memory than it may have", () => textGuest("", "", "1000"), "memory_limit"],
};

/** Components that get a second to do what they do with as much fuel as there is. */
const ENDLESS = { loops: "as_loop", recursion: "as_recursion", logs: "as_logs", script: "script" };

const withClang = requireTool("clang", "apt-get install clang lld");
const hasClang = Bun.which("clang") !== null;

let upstream: Upstream;
let gate: GateProcess;
let agent: WireAgent;
/** How to answer the requests that the upstream has. */
const held: (() => void)[] = [];

/** What `latchgate provider build` makes of a source in TypeScript. */
async function built(source: string): Promise<Uint8Array> {
  const folder = mkdtempSync(join(tmpdir(), "latchgate-hostile-"));
  try {
    writeFileSync(join(folder, "hostile.ts"), source);
    const toolchain = join(ROOT, "node_modules/.bin/componentize-qjs");
    const env = { PATH: process.env.PATH ?? "", HOME: folder };
    const words = ["provider", "build", "hostile.ts", "--toolchain", toolchain];
    const { code, stderr } = await runBinary(words, { cwd: folder, env });
    if (code !== 0) throw new Error(stderr);
    return new Uint8Array(readFileSync(join(folder, "hostile.wasm")));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** By action id. */
async function buildAll(): Promise<ReadonlyMap<string, Uint8Array>> {
  const typed = TASK_SCRIPT.replace("execute(text)", "execute(text: string): string");
  const components = new Map([["script", await built(typed)]]);
  if (hasClang) components.set("c", await cGuest(HOSTILE_C));
  components.set("forgets", await buildComponent(guests.FORGETS));
  for (const [id, [, build]] of Object.entries(SINGLE)) components.set(id, await build());
  for (const [name, like] of Object.entries(ENDLESS))
    components.set(`endless_${name}`, components.get(like) ?? new Uint8Array());
  return components;
}

function manifest(id: string, component: Uint8Array): string {
  const limits = id.startsWith("endless_")
    ? { fuel: 10_000_000_000, timeout_s: 1 }
    : { fuel: id.startsWith("wat_") ? 3_000_000 : 60_000_000, timeout_s: 60 };
  return httpText({
    id,
    provider: digestOf(component),
    effects: ["http_read"],
    risk: { level: "low" },
    params: { type: "object", required: ["do"], properties: { do: { type: "string" } } },
    http: { method: "GET", url: `${upstream.url}do-{do}` },
    egress: { hosts: [{ host: "service.test", ports: [upstream.port] }] },
    verify: { kind: "none" },
    limits: { ...limits, memory_mb: 32, io_calls: 3 },
  });
}

beforeAll(async () => {
  upstream = await startUpstream((request, response) => {
    request.resume();
    held.push(() => response.end('{"answer":42}'));
  });
  const components = await buildAll();
  const ids = [...components.keys()];
  const entry = upstream.setup.config.slice(0, upstream.setup.config.lastIndexOf("[[egress.local]]"));
  gate = await startGate({
    policy: openPolicy(undefined, { actions: ids }),
    config: [
      "[sandbox]\noperator_runners = 32",
      "[rate_limits]\npeer_rps = 10000\nexecute_rps_per_session = 10000",
      ...ids.map((id) => entry.replace("http_fetch", id)),
    ].join("\n"),
    files: upstream.setup.files,
    actions: Object.fromEntries([...components].map(([id, bytes]) => [`${id}.yaml`, manifest(id, bytes)])),
    components: [...components.values()],
  });
  agent = await WireAgent.connect(gate.clientSocket);
}, 240_000);
afterAll(async () => {
  await gate?.[Symbol.asyncDispose]();
  await upstream?.[Symbol.asyncDispose]();
});

/**
 * The call failed before anything left the gate, for the reason given, in its answer, its receipt and the log. What the
 * host refused on the way stands before how the run ended.
 */
async function endsAs(done: WireAnswer, code: string, hostCalls = 0): Promise<void> {
  const failure = hostCalls === 0 ? code : "differs_from_plan";
  const verification = { outcome: "provider_failed_before_verification", reasons: [code] };
  expect([done.status, done.body.error, done.body.failure]).toEqual([
    502,
    "action_execution_failed",
    failure,
  ]);
  expect(done.body).toMatchObject({ status: "failed", dispatched: "no", confirmed: false, verification });
  const receipt = await agent.receipt(done.body.receipt_id);
  expect(receipt.body).toMatchObject({
    signature_status: "valid",
    status: "failed",
    normalized_result: { kind: "provider_failure", reason: failure },
    provider_receipt: null,
  });
  const entries = readRows(gate.ledger).map(payloadOf);
  expect(entries.find(({ receipt_id }) => receipt_id === done.body.receipt_id)).toMatchObject({
    type: "call.receipt",
    error: failure,
    dispatched: "no",
    io_calls: hostCalls,
    verification,
  });
}

describe("a component in TypeScript", () => {
  for (const [does, word, code, hostCalls] of SCRIPT)
    test(`${does}: ${code}`, async () => {
      await endsAs(await agent.execute("script", { do: word }), code, hostCalls);
    });
});

describe("a component in C", () => {
  for (const [does, letter, code, hostCalls] of C)
    withClang(`${does}: ${code}`, async () => {
      await endsAs(await agent.execute("c", { do: letter }), code, hostCalls);
      // Had anything of that call been left, this one would return its error arm.
      expect((await agent.execute("c", { do: "z" })).body).toMatchObject({
        failure: "no_effect",
        verification: { reasons: ["the host saw no complete effect"] },
      });
    });
});

describe("a component of its own", () => {
  for (const [id, [does, , code]] of Object.entries(SINGLE))
    test(`${id} ${does}: ${code}`, async () => {
      for (let again = 0; again < 2; again++) await endsAs(await agent.execute(id, { do: "it" }), code);
    });
});

test("a component that wants to remember starts afresh with each call, one after the other and together", async () => {
  const call = () => agent.execute("forgets", { do: "it" });
  const answers = [await call(), await call(), ...(await Promise.all(Array.from({ length: 8 }, call)))];
  // It came to its end, and asked for nothing: had it found anything, it would have trapped.
  expect(answers.map(({ body }) => body.failure)).toEqual(answers.map(() => "no_effect"));
});

test("what has fuel without end ends at its deadline", async () => {
  const names = Object.keys(ENDLESS);
  const calls = names.map((name) => agent.execute(`endless_${name}`, { do: "spin" }));
  for (const done of await Promise.all(calls)) await endsAs(done, "deadline");
});

test("a call beside a loop, in the very runner, gets its answer", async () => {
  const waits = agent.execute("script", { do: "get" });
  await upstream.arrived(1);
  // The same component for the same tenant: one runner.
  await endsAs(await agent.execute("endless_script", { do: "spin" }), "deadline");
  held[0]?.();
  expect((await waits).body).toMatchObject({ dispatched: "yes", confirmed: true });
});

test("no runner was lost with any of that, and the log verifies", async () => {
  expect(gate.stderr()).not.toContain("a runner ended");
  expect(await gate.stop()).toBe(0);
  expect((await gate.run("verify", gate.ledger, "--strict")).code).toBe(0);
});
