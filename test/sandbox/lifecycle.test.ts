import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Sandbox } from "../../src/sandbox/index.ts";
import { answers, asksFor, asksWith, SPINS } from "./guests.ts";
import {
  admit,
  held,
  LIMITS,
  openSandbox,
  respond,
  run,
  ScriptedDoor,
  SELF,
  silence,
  until,
} from "./laboratory.ts";

const ASKS = asksFor("https://api.example.com/");
let sandbox: Sandbox | undefined;

afterEach(async () => {
  await sandbox?.close();
  sandbox = undefined;
});

describe("a runner that is killed", () => {
  test("ends its calls as lost, once, and is replaced by the spare at once", async () => {
    sandbox = await openSandbox({ runners: 1 });
    const digest = await admit(sandbox, ASKS);
    const [runner, spare] = sandbox.stats().runners;
    expect(spare?.group).toBe("spare");
    const { asked, script, answer } = held();
    const outcome = run(sandbox, digest, { door: new ScriptedDoor(script) });
    await asked;
    process.kill(runner?.pid ?? 0, "SIGKILL");
    expect(await outcome).toMatchObject({ status: "runner_lost", ioCalls: 1 });
    answer();
    expect(sandbox.stats().runners.find(({ group }) => group === "builtin")?.pid).toBe(spare?.pid);
    expect(await run(sandbox, digest)).toMatchObject({ status: "ok" });
    const next = sandbox;
    await until(() => next.stats().runners.some(({ group }) => group === "spare"));
  });
});

describe("calls at the same time", () => {
  test("wait for the host together, in one runner", async () => {
    sandbox = await openSandbox({ runners: 1, maxInFlight: 50, maxRunning: 50, stallMs: 60_000 });
    const digest = await admit(sandbox, ASKS);
    const holds = Array.from({ length: 50 }, held);
    const opened = sandbox;
    const outcomes = holds.map(({ script }) => run(opened, digest, { door: new ScriptedDoor(script) }));
    await Promise.all(holds.map(({ asked }) => asked));
    expect(sandbox.stats().runners[0]?.inFlight).toBe(50);
    for (const { answer } of holds.toReversed()) answer();
    for (const outcome of await Promise.all(outcomes))
      expect(outcome).toMatchObject({ status: "ok", ioCalls: 1 });
  });

  test("above what the runners take wait in a queue; above the queue they are refused", async () => {
    sandbox = await openSandbox({ runners: 1, maxInFlight: 1, queueLimit: 1 });
    const digest = await admit(sandbox, ASKS);
    const { asked, script, answer } = held();
    const first = run(sandbox, digest, { door: new ScriptedDoor(script) });
    await asked;
    const second = run(sandbox, digest);
    expect(sandbox.reserve(digest, "default")).toBeNull();
    answer();
    expect(await first).toMatchObject({ status: "ok" });
    expect(await second).toMatchObject({ status: "ok" });
  });

  test("are promised as many places as there are, each given back once", async () => {
    sandbox = await openSandbox({ runners: 2, maxInFlight: 2, queueLimit: 3 });
    const digest = await admit(sandbox, ASKS);
    const reserve = () => opened.reserve(digest, "default");
    const opened = sandbox;
    const places = Array.from({ length: 8 }, reserve);
    expect(places.map((place) => place !== null)).toEqual([...Array(7).fill(true), false]);
    const [first, second] = places;
    for (let again = 0; again < 3; again++) first?.[Symbol.dispose]();
    const next = reserve();
    expect([next === null, reserve()]).toEqual([false, null]);
    // A call that runs has left its place, and what it holds instead counts.
    const { asked, script, answer } = held();
    if (second == null) throw new Error("there is no place");
    const call = {
      digest,
      tenant: "default",
      task: "{}",
      limits: LIMITS,
      deadline: performance.now() + 30_000,
    };
    const signal = new AbortController().signal;
    const running = opened.run({ ...call, signal, door: new ScriptedDoor(script) }, second);
    await asked;
    second[Symbol.dispose]();
    expect(reserve()).toBeNull();
    answer();
    expect(await running).toMatchObject({ status: "ok" });
    expect(reserve()).not.toBeNull();
  });

  test("have their deadline in the queue too, and then never begin", async () => {
    sandbox = await openSandbox({ runners: 1, maxInFlight: 1 });
    const digest = await admit(sandbox, ASKS);
    const { asked, script, answer } = held();
    const first = run(sandbox, digest, { door: new ScriptedDoor(script) });
    await asked;
    const door = new ScriptedDoor();
    const second = await run(sandbox, digest, { door, deadline: performance.now() + 50 });
    expect(second).toMatchObject({ status: "deadline", ioCalls: 0 });
    answer();
    expect(await first).toMatchObject({ status: "ok" });
    expect(door.asked).toEqual([]);
  });

  test("do not begin after their deadline or their cancellation", async () => {
    sandbox = await openSandbox();
    const digest = await admit(sandbox, ASKS);
    const door = new ScriptedDoor();
    expect(await run(sandbox, digest, { door, deadline: performance.now() })).toMatchObject({
      status: "deadline",
    });
    expect(await run(sandbox, digest, { door, signal: AbortSignal.abort() })).toMatchObject({
      status: "cancelled",
    });
    expect(door.asked).toEqual([]);
  });
});

describe("cancelling", () => {
  test("ends a call that waits for the host, and leaves its runner to the others", async () => {
    sandbox = await openSandbox({ runners: 1 });
    const digest = await admit(sandbox, ASKS);
    const { asked, script } = silence();
    const controller = new AbortController();
    const outcome = run(sandbox, digest, { door: new ScriptedDoor(script), signal: controller.signal });
    await asked;
    controller.abort();
    expect(await outcome).toMatchObject({ status: "cancelled", ioCalls: 1 });
    expect(await run(sandbox, digest)).toMatchObject({ status: "ok" });
    expect(sandbox.stats().lost).toBe(0);
  });

  test("leaves nothing of the guest that waited: its memory is free again", async () => {
    sandbox = await openSandbox({ runners: 1 });
    const opened = sandbox;
    const digest = await admit(sandbox, asksWith(32));
    for (let i = 0; i < 64; i++) {
      const { asked, script } = silence();
      const controller = new AbortController();
      const outcome = run(sandbox, digest, { door: new ScriptedDoor(script), signal: controller.signal });
      await asked;
      controller.abort();
      expect(await outcome).toMatchObject({ status: "cancelled" });
      await until(() => opened.stats().runners.every(({ inFlight }) => inFlight === 0));
    }
    const { pid } = sandbox.stats().runners.find(({ group }) => group === "builtin") ?? {};
    const [, most] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1")) ?? [];
    // Together they wrote to 2 GiB.
    expect(Number(most)).toBeLessThan(1_048_576);
    expect(sandbox.stats().lost).toBe(0);
  }, 60_000);

  test("ends a call that spins, with its runner", async () => {
    sandbox = await openSandbox({ runners: 1 });
    const opened = sandbox;
    const digest = await admit(sandbox, SPINS);
    const controller = new AbortController();
    const outcome = run(sandbox, digest, { signal: controller.signal });
    controller.abort();
    expect(await outcome).toMatchObject({ status: "cancelled" });
    await until(() => opened.stats().runners.every(({ inFlight }) => inFlight === 0));
  });
});

describe("a door that fails", () => {
  test("ends the call, and with it nothing else", async () => {
    sandbox = await openSandbox({ runners: 1 });
    const digest = await admit(sandbox, ASKS);
    const door = new ScriptedDoor(() => {
      throw new Error("no broker");
    });
    expect(await run(sandbox, digest, { door })).toMatchObject({
      status: "trap",
      detail: "the host could not answer io-http.request: no broker",
    });
    // A status that the world's u16 cannot carry.
    const odd = new ScriptedDoor(respond(70_000));
    expect(await run(sandbox, digest, { door: odd })).toMatchObject({ status: "trap", ioCalls: 1 });
    expect(sandbox.stats().lost).toBe(0);
  });
});

describe("closing", () => {
  test("ends calls as cancelled and takes no more", async () => {
    const closing = await openSandbox({ runners: 1 });
    const digest = await admit(closing, ASKS);
    const { asked, script } = silence();
    const outcome = run(closing, digest, { door: new ScriptedDoor(script) });
    await asked;
    const pids = closing.stats().runners.map(({ pid }) => pid);
    await closing.close();
    expect(await outcome).toMatchObject({ status: "cancelled" });
    for (const pid of pids) expect(isAlive(pid)).toBe(false);
    await expect(run(closing, digest)).rejects.toMatchObject({ code: "sandbox_closed" });
  });

  test("an unknown component is an error, not an outcome, each time and for nobody else", async () => {
    sandbox = await openSandbox();
    const known = await admit(sandbox, ASKS);
    const unknown = `sha256:${"0".repeat(64)}`;
    const door = new ScriptedDoor();
    for (let again = 0; again < 2; again++) {
      await expect(run(sandbox, unknown, { door })).rejects.toMatchObject({ code: "component_unknown" });
      expect(await run(sandbox, known)).toMatchObject({ status: "ok" });
    }
    expect(door.asked).toEqual([]);
  });
});

describe("a gate that is killed", () => {
  test("leaves no runner behind, not even one that spins", async () => {
    const gate = Bun.spawn([process.execPath, join(import.meta.dir, "orphaned-gate.ts")], { stdout: "pipe" });
    const { value } = await gate.stdout.getReader().read();
    const { busy, all } = JSON.parse(Buffer.from(value ?? new Uint8Array()).toString()) as {
      busy: number;
      all: number[];
    };
    expect(all).toHaveLength(3);
    const before = userTicks(busy);
    await until(() => userTicks(busy) > before + 5);
    gate.kill("SIGKILL");
    await gate.exited;
    await until(() => !all.some(isAlive));
  }, 20_000);
});

describe("a runner", () => {
  test("refuses to start where memories take 4 GiB each", async () => {
    const child = Bun.spawn([...SELF, "__runner", "locked"], {
      stdio: ["ignore", "ignore", "ignore", "pipe"],
      env: {},
    });
    const fd: unknown = child.stdio[3];
    const received: Uint8Array[] = [];
    const connect = Bun.connect as unknown as (options: object) => Promise<unknown>; // takes a descriptor too
    await connect({ fd, socket: { data: (_: unknown, chunk: Uint8Array) => received.push(chunk) } });
    expect(await child.exited).toBe(1);
    await until(() => Buffer.concat(received).toString("latin1").includes("BUN_JSC_useWasmFastMemory=0"));
  });

  test("gets nothing of the gate's environment", async () => {
    const folder = mkdtempSync(join(tmpdir(), "latchgate-"));
    process.env.LATCHGATE_TEST_SECRET = "must not be seen";
    try {
      // A locked runner shows its environment to root alone; the shell before it has the same.
      const shell = ["/bin/sh", "-c", 'cat "/proc/$$/environ" > "$0/$$"; exec "$@"', folder, ...SELF];
      sandbox = await openSandbox({ runners: 1, env: { GIVEN: "1" }, self: shell });
      const environment = readFileSync(join(folder, String(sandbox.stats().runners[0]?.pid)), "utf8");
      expect(environment.split("\0").filter(Boolean).sort()).toEqual([
        "BUN_JSC_useWasmFastMemory=0",
        "GIVEN=1",
      ]);
    } finally {
      delete process.env.LATCHGATE_TEST_SECRET;
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("answers a component of an operator and a built-in one from two processes", async () => {
    sandbox = await openSandbox({ runners: 1 });
    const builtin = await admit(sandbox, answers('{"from":"builtin"}'));
    const operator = await admit(sandbox, answers('{"from":"operator"}'), "operator");
    expect(await run(sandbox, builtin)).toMatchObject({ output: { from: "builtin" } });
    expect(await run(sandbox, operator)).toMatchObject({ output: { from: "operator" } });
    const groups = sandbox.stats().runners.map(({ group }) => group);
    expect(groups).toContain("builtin");
    expect(groups).toContain(operator);
  });
});

/** User time of a process so far (proc(5), stat, field 14). */
function userTicks(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ")[11]);
}

/** Whether it still runs; one that nobody has waited for yet does not. */
function isAlive(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}
