import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ingestComponent, type Sandbox } from "../../src/sandbox/index.ts";
import { processorTimeMs } from "../../src/sandbox/processor-time.ts";
import { buildComponent, buildComponentFromText, pinOf } from "./build-component.ts";
import * as guests from "./guests.ts";
import {
  admit,
  admitBytes,
  ENDLESS,
  held,
  LIMITS,
  openSandbox,
  respond,
  run,
  ScriptedDoor,
  silence,
  until,
} from "./laboratory.ts";

let sandbox: Sandbox;

beforeAll(async () => {
  sandbox = await openSandbox({ runners: 2 });
});

afterAll(async () => {
  await sandbox.close();
});

/** A core module around these functions, with an allocator and, unless given, an execute that answers `{}`. */
function core(
  parts: string,
  execute = '(func (export "execute") (param i32 i32) (result i32) i32.const 16)',
): string {
  return `(module
    (import "latchgate:provider/io-log@0.1.0" "log-info" (func $log (param i32 i32)))
    (import "latchgate:provider/io-http@0.1.0" "request"
      (func $request (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 1024))
    ;; at 16: ok("{}"), at 32: the text
    (data (i32.const 16) "\\00\\00\\00\\00\\20\\00\\00\\00\\02\\00\\00\\00")
    (data (i32.const 32) "{}")
    ${parts.includes('"cabi_realloc"') ? "" : REALLOC}
    ${parts}
    ${execute})`;
}

const REALLOC = `(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
  (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
  (global.set $next (i32.add (local.get $at) (local.get 3)))
  (local.get $at))`;

async function admitText(parts: string, execute?: string): Promise<string> {
  return admitBytes(sandbox, await buildComponentFromText(core(parts, execute)));
}

describe("a component that does not end", () => {
  test("runs out of fuel, to the unit and each time the same", async () => {
    const spins = await admit(sandbox, guests.SPINS);
    const { lost } = sandbox.stats();
    for (const fuel of [1_000, 1_000_000]) {
      const outcome = await run(sandbox, spins, { limits: { ...LIMITS, fuel } });
      expect(outcome).toMatchObject({ status: "fuel_exhausted", fuel, ioCalls: 0 });
    }
    expect(sandbox.stats().lost).toBe(lost);
  });

  test("and catches what it gets for a host call in its realloc, ends with its fuel all the same", async () => {
    // Its realloc calls the host, which it may not, and goes on for ever with what it gets for that.
    const zeros = "(i32.const 0) ".repeat(11);
    const spins = await admitText(`(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
      (block $caught (try_table (catch_all $caught) (call $request ${zeros})))
      (loop $on (br $on)) (i32.const 0))`);
    const { lost } = sandbox.stats();
    const outcome = await run(sandbox, spins, { limits: { ...LIMITS, fuel: 1_000_000 } });
    expect(outcome).toMatchObject({ status: "fuel_exhausted", ioCalls: 0 });
    expect(sandbox.stats().lost).toBe(lost);
  });

  test("ends at its deadline; its runner and the calls beside it live on", async () => {
    const single = await openSandbox({ runners: 1, cancelGraceMs: 10_000 });
    try {
      const asks = await admit(single, guests.asksFor("https://api.example.com/"));
      const spins = await admit(single, guests.SPINS);
      const { asked, script, answer } = held();
      const neighbour = run(single, asks, { door: new ScriptedDoor(script) });
      await asked;
      expect(await run(single, spins, { deadline: performance.now() + 100, limits: ENDLESS })).toMatchObject({
        status: "deadline",
      });
      answer();
      expect(await neighbour).toMatchObject({ status: "ok", output: { ok: true, status: 200 } });
      expect(single.stats().lost).toBe(0);
    } finally {
      await single.close();
    }
  });

  test("cannot hear that it is cancelled: its runner is killed, and takes the calls beside it along as lost", async () => {
    const single = await openSandbox({ runners: 1 });
    try {
      const asks = await admit(single, guests.asksFor("https://api.example.com/"));
      const spins = await admit(single, guests.SPINS);
      const { asked, script } = silence();
      const neighbour = run(single, asks, { door: new ScriptedDoor(script) });
      await asked;
      const controller = new AbortController();
      const pid = single.stats().runners.find(({ group }) => group === "builtin")?.pid ?? 0;
      const before = processorTimeMs(pid) ?? Number.NaN;
      const spinning = run(single, spins, { signal: controller.signal, limits: ENDLESS });
      // Only a guest that spins can need that much.
      await until(() => (processorTimeMs(pid) ?? 0) - before > 200);
      controller.abort();
      expect(await spinning).toMatchObject({ status: "cancelled" });
      expect(await neighbour).toMatchObject({ status: "runner_lost", ioCalls: 1 });
      expect(await run(single, asks)).toMatchObject({ status: "ok" });
    } finally {
      await single.close();
    }
  });

  test.each([
    ["in a start function", "(func $start (loop $l (br $l))) (start $start)"],
    [
      "in realloc",
      '(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (loop $l (br $l)) unreachable)',
    ],
  ])("spins %s: out of fuel as well", async (_, parts) => {
    const digest = await admitText(parts);
    const { lost } = sandbox.stats();
    const limits = { ...LIMITS, fuel: 1_000_000 };
    expect(await run(sandbox, digest, { limits })).toMatchObject({
      status: "fuel_exhausted",
      fuel: 1_000_000,
    });
    expect(sandbox.stats().lost).toBe(lost);
  });

  test.each([
    ["logs", "(call $log (i32.const 0) (i32.const 60000))"],
    ["has its arguments refused", "(call $log (i32.const 32) (i32.const 0))"],
  ])("calls the host for ever (%s): every call costs fuel", async (_, body) => {
    const digest = await admitText(
      "",
      `(func (export "execute") (param i32 i32) (result i32) (loop $l ${body} (br $l)) i32.const 16)`,
    );
    expect(await run(sandbox, digest, { limits: { ...LIMITS, fuel: 5_000_000 } })).toMatchObject({
      status: "fuel_exhausted",
      fuel: 5_000_000,
    });
  });
});

describe("a component that waits for the host when its deadline comes", () => {
  test("ends alone: its runner lives on, and the late answer goes nowhere", async () => {
    const asks = await admit(sandbox, guests.asksFor("https://api.example.com/"));
    const { asked, script, answer } = held();
    const { lost } = sandbox.stats();
    const outcome = run(sandbox, asks, {
      door: new ScriptedDoor(script),
      deadline: performance.now() + 150,
    });
    await asked;
    expect(await outcome).toMatchObject({ status: "deadline", ioCalls: 1 });
    answer();
    expect(await run(sandbox, asks)).toMatchObject({ status: "ok" });
    await until(() => sandbox.stats().runners.every(({ inFlight }) => inFlight === 0));
    expect(sandbox.stats().lost).toBe(lost);
  });
});

describe("a component that wants to remember", () => {
  test("starts afresh with each call", async () => {
    const digest = await admit(sandbox, guests.REMEMBERS);
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => run(sandbox, digest)));
    for (const outcome of outcomes)
      expect(outcome).toMatchObject({ status: "ok", output: { ok: true, global: 1, memory: 1 } });
  });
});

describe("a component that asks for more than it was given", () => {
  test("asks for nothing: no host call is made for it", async () => {
    const digest = await admit(sandbox, guests.answers('{"ok":true,"status":200}'));
    const door = new ScriptedDoor();
    expect(await run(sandbox, digest, { door })).toMatchObject({ status: "ok", ioCalls: 0 });
    expect(door.asked).toEqual([]);
  });

  test("ends with the call above its io budget, which the door never sees", async () => {
    const digest = await admit(sandbox, guests.asksFor("https://api.example.com/", 4));
    const door = new ScriptedDoor();
    const outcome = await run(sandbox, digest, { door, limits: { ...LIMITS, ioCalls: 3 } });
    expect(outcome).toMatchObject({ status: "io_budget_exceeded", ioCalls: 3 });
    expect(door.asked).toHaveLength(3);
  });

  test("asks for a mail where a request was granted: the door decides", async () => {
    const digest = await admit(sandbox, guests.SENDS_MAIL);
    const door = new ScriptedDoor();
    await run(sandbox, digest, { door });
    const empty = { to: [], cc: [], bcc: [], subject: "", text: null, html: null, headers: [] };
    expect(door.asked).toEqual([{ kind: "smtp.send", ...empty }]);
  });

  test("imports an interface that the action does not grant: the call does not begin", async () => {
    const digest = await admit(sandbox, guests.asksFor("https://api.example.com/"));
    const door = new ScriptedDoor();
    const outcome = await run(sandbox, digest, { door, granted: ["io-log"] });
    expect(outcome).toMatchObject({ status: "import_not_granted", ioCalls: 0 });
    expect(door.asked).toEqual([]);
    expect(await run(sandbox, digest, { granted: ["io-http", "io-log"] })).toMatchObject({ status: "ok" });
  });

  test("takes memory up to its limit and no further", async () => {
    const digest = await admit(sandbox, guests.takesMemory(40));
    expect(await run(sandbox, digest, { limits: { ...LIMITS, memoryMb: 64 } })).toMatchObject({
      status: "ok",
      peakMemoryBytes: 40 * 1_048_576 + 65_536,
    });
    expect(await run(sandbox, digest, { limits: { ...LIMITS, memoryMb: 32 } })).toMatchObject({
      status: "memory_limit",
    });
  });

  test("writes log lines: the first 256, each of at most 4096 bytes, and says that they were longer", async () => {
    const digest = await admit(sandbox, guests.logs(1000, 5000));
    const outcome = await run(sandbox, digest);
    if (outcome.status !== "ok") throw new Error(outcome.status);
    expect(outcome.logs).toHaveLength(256);
    for (const line of outcome.logs) {
      expect(line).toMatchObject({ level: "warn", cut: true });
      expect(line.message).toMatch(/^.{4096}$/s);
    }
  });

  test("passes arguments larger than a request may be", async () => {
    const digest = await admitText(
      "",
      `(func (export "execute") (param i32 i32) (result i32)
        (drop (memory.grow (i32.const 16)))
        (call $request (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
          (i32.const 1) (i32.const 0) (i32.const 140000) (i32.const 0) (i32.const 512))
        i32.const 16)`,
    );
    const door = new ScriptedDoor();
    expect(await run(sandbox, digest, { door })).toMatchObject({ status: "trap", ioCalls: 0 });
    expect(door.asked).toEqual([]);
  });
});

describe("a component that breaks", () => {
  test("traps: the call ends, its runner does not", async () => {
    const { lost } = sandbox.stats();
    const unreachable = { status: "trap", kind: "unreachable" };
    expect(await run(sandbox, await admit(sandbox, guests.TRAPS))).toMatchObject(unreachable);
    const exhausted = { status: "stack_overflow" };
    expect(await run(sandbox, await admit(sandbox, guests.OVERFLOWS))).toMatchObject(exhausted);
    expect(sandbox.stats().lost).toBe(lost);
  });

  test("returns its error arm", async () => {
    const outcome = await run(sandbox, await admit(sandbox, guests.FAILS));
    expect(outcome).toMatchObject({ status: "guest_error", message: "it did not work" });
  });

  test.each([
    ["not json", "not json at all"],
    ["two documents", "{} {}"],
    ["duplicate members", '{"ok":false,"ok":true}'],
    ["too deep", "[".repeat(40) + "]".repeat(40)],
  ])("answers with %s: invalid output", async (_, text) => {
    const outcome = await run(sandbox, await admit(sandbox, guests.answers(text)));
    expect(outcome).toMatchObject({ status: "invalid_output" });
  });

  test("answers more than its limit: invalid output, and the text stays where it is", async () => {
    const limits = { ...LIMITS, responseBytes: 3_000 };
    const fits = 4_000 + 262_144;
    expect(await run(sandbox, await admit(sandbox, guests.answersLength(fits)), { limits })).toMatchObject({
      status: "ok",
      output: "a".repeat(fits - 2),
    });
    const outcome = await run(sandbox, await admit(sandbox, guests.answersLength(fits + 1)), { limits });
    expect(outcome).toMatchObject({
      status: "invalid_output",
      detail: expect.stringContaining("are allowed"),
    });
  });

  test.each([
    ["a result beyond the memory", "i32.const 65530"],
    ["a result that is not aligned", "i32.const 17"],
    ["a negative address", "i32.const -4"],
    // 64: a discriminant of 7
    ["a discriminant that is not there", "(i32.store (i32.const 64) (i32.const 7)) i32.const 64"],
    // 64: ok, at 60000 with 60000 bytes
    [
      "text beyond the memory",
      "(i32.store (i32.const 68) (i32.const 60000)) (i32.store (i32.const 72) (i32.const 60000)) i32.const 64",
    ],
  ])("returns %s: a trap", async (_, body) => {
    const digest = await admitText("", `(func (export "execute") (param i32 i32) (result i32) ${body})`);
    expect(await run(sandbox, digest)).toMatchObject({ status: "trap" });
  });

  test("answers with text that is not utf-8: invalid output", async () => {
    const digest = await admitText(
      "",
      `(func (export "execute") (param i32 i32) (result i32)
        (i32.store (i32.const 32) (i32.const 0x22ff22)) (i32.store (i32.const 24) (i32.const 3)) i32.const 16)`,
    );
    expect(await run(sandbox, digest)).toMatchObject({ status: "invalid_output" });
  });

  test.each([
    ["an address beyond the memory", "i32.const 65535"],
    ["a negative address", "i32.const -16"],
  ])("gives the host %s to write to: a trap", async (_, body) => {
    const digest = await admitText(
      `(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) ${body})`,
    );
    expect(await run(sandbox, digest)).toMatchObject({ status: "trap" });
  });

  test.each([
    ["text beyond the memory", "(call $log (i32.const 65530) (i32.const 100))"],
    [
      "text that is not utf-8",
      "(i32.store (i32.const 40) (i32.const -1)) (call $log (i32.const 40) (i32.const 4))",
    ],
    [
      "a result address beyond the memory",
      `(call $request (i32.const 32) (i32.const 2) (i32.const 32) (i32.const 2) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 65532))`,
    ],
    [
      "an option that is neither",
      `(call $request (i32.const 32) (i32.const 2) (i32.const 32) (i32.const 2) (i32.const 0) (i32.const 0)
        (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64))`,
    ],
  ])("calls the host with %s: a trap that it cannot catch", async (_, body) => {
    const digest = await admitText(
      "",
      `(func (export "execute") (param i32 i32) (result i32)
        (block $caught (try_table (catch_all $caught) ${body}))
        i32.const 16)`,
    );
    expect(await run(sandbox, digest, { door: new ScriptedDoor(respond(200, "body")) })).toMatchObject({
      status: "trap",
    });
  });

  test("calls the host while the host takes memory: it reaches nobody", async () => {
    const digest = await admitText(
      `(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (block $caught (try_table (catch_all $caught) (call $log (i32.const 32) (i32.const 2))))
        i32.const 1024)`,
    );
    // The engine refuses with an exception, which this guest catches; no line of it was written.
    expect(await run(sandbox, digest)).toMatchObject({ status: "ok", logs: [] });
  });

  test("calls the host while it starts: a trap that it cannot catch", async () => {
    const digest = await admitText(
      `(func $start (block $caught (try_table (catch_all $caught) (call $log (i32.const 32) (i32.const 2)))))
       (start $start)`,
    );
    expect(await run(sandbox, digest)).toMatchObject({ status: "trap" });
  });
});

describe("a component that an operator brought", () => {
  test("runs in a runner of its own", async () => {
    const own = await openSandbox({ runners: 1 });
    try {
      const builtin = await admit(own, guests.asksFor("https://a.example/"));
      const spins = await admit(own, guests.SPINS, "operator");
      const { asked, script } = silence();
      const controller = new AbortController();
      const neighbour = run(own, builtin, { door: new ScriptedDoor(script), signal: controller.signal });
      await asked;
      const limits = { ...LIMITS, fuel: 1_000_000 };
      expect(await run(own, spins, { limits })).toMatchObject({ status: "fuel_exhausted" });
      const { pid } = own.stats().runners.find(({ group }) => group === spins) ?? {};
      expect(pid).toBeNumber();
      process.kill(pid ?? 0, "SIGKILL");
      await until(() => own.stats().lost === 1);
      controller.abort();
      expect(await neighbour).toMatchObject({ status: "cancelled", ioCalls: 1 });
    } finally {
      await own.close();
    }
  });
});

describe("ingest", () => {
  test("checks the digest before it looks at the bytes", async () => {
    const pin = `sha256:${"0".repeat(64)}`;
    const refused = ingestComponent({
      bytes: Buffer.from("no component"),
      pin,
      origin: "operator",
      validate: () => Promise.reject(new Error("must not be reached")),
    });
    await expect(refused).rejects.toMatchObject({ code: "component_digest_mismatch" });
  });

  test("does not run what a caller writes into its buffer afterwards", async () => {
    const bytes = await buildComponent(guests.answers("{}"));
    const validate = async () => {
      bytes.fill(0);
    };
    const { cores } = await ingestComponent({ bytes, pin: pinOf(bytes), origin: "builtin", validate });
    for (const module of cores) expect(WebAssembly.validate(Uint8Array.from(module))).toBe(true);
  });
});
