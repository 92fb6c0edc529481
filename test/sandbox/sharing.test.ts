/** Which calls share a runner, for how long, and what a lock does to large frames. */
import { afterEach, describe, expect, test } from "bun:test";
import type { Sandbox } from "../../src/sandbox/index.ts";
import { FRAME, FrameReader } from "../../src/sandbox/protocol/frame.ts";
import { answers, answersLength, asksFor } from "./guests.ts";
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

const pids = (of: Sandbox, group: string) => of.stats().runners.filter((runner) => runner.group === group);

describe("an operator's component", () => {
  test("serves each tenant from a process of its own, which no other component shares", async () => {
    sandbox = await openSandbox({ runners: 1 });
    const first = await admit(sandbox, answers('{"from":1}'), "operator");
    const second = await admit(sandbox, answers('{"from":2}'), "operator");
    for (const tenant of ["a", "b", "a"]) {
      expect(await run(sandbox, first, { tenant })).toMatchObject({ output: { from: 1 } });
      expect(await run(sandbox, second, { tenant })).toMatchObject({ output: { from: 2 } });
    }
    const own = sandbox.stats().runners.filter(({ tenant }) => tenant !== null);
    expect(new Set(own.map(({ pid }) => pid)).size).toBe(4);
    expect(own.map(({ group, tenant }) => `${group} ${tenant}`).sort()).toEqual(
      [first, second].flatMap((digest) => [`${digest} a`, `${digest} b`]).sort(),
    );
  });

  test("makes room for another when there are as many runners as there may be, and only when it is idle", async () => {
    sandbox = await openSandbox({ runners: 1, operatorRunners: 1 });
    const opened = sandbox;
    const asks = await admit(sandbox, ASKS, "operator");
    const { asked, script, answer } = held();
    const first = run(sandbox, asks, { tenant: "a", door: new ScriptedDoor(script) });
    await asked;
    const second = run(sandbox, asks, { tenant: "b" });
    expect(pids(sandbox, asks).map(({ tenant }) => tenant)).toEqual(["a"]);
    answer();
    expect(await first).toMatchObject({ status: "ok" });
    expect(await second).toMatchObject({ status: "ok" });
    expect(pids(sandbox, asks).map(({ tenant }) => tenant)).toEqual(["b"]);
    await until(() => opened.stats().retired === 1);
    expect(sandbox.stats().lost).toBe(0);
  });

  test("that is never idle makes room for one that waits, after its turn", async () => {
    sandbox = await openSandbox({ runners: 1, operatorRunners: 1, turnMs: 0 });
    const asks = await admit(sandbox, ASKS, "operator");
    const [first, second, third] = [held(), held(), held()];
    const a = { tenant: "a" };
    const one = run(sandbox, asks, { ...a, door: new ScriptedDoor(first.script) });
    await first.asked;
    const b = run(sandbox, asks, { tenant: "b", door: new ScriptedDoor(second.script) });
    // Between them they would always have a call under way.
    const two = run(sandbox, asks, { ...a, door: new ScriptedDoor(third.script) });
    first.answer();
    expect(await one).toMatchObject({ status: "ok" });
    await second.asked;
    expect(pids(sandbox, asks).map(({ tenant }) => tenant)).toEqual(["b"]);
    second.answer();
    expect(await b).toMatchObject({ status: "ok" });
    await third.asked;
    third.answer();
    expect(await two).toMatchObject({ status: "ok" });
    expect(sandbox.stats().lost).toBe(0);
  });

  test("of one tenant with many components leaves a runner to another tenant", async () => {
    sandbox = await openSandbox({ runners: 1, operatorRunners: 2, turnMs: 0 });
    const opened = sandbox;
    const digests = await Promise.all(
      [1, 2, 3].map((times) => admit(opened, asksFor("https://api.example.com/", times), "operator")),
    );
    const holds = digests.map(() => held());
    const greedy = digests.map((digest, i) =>
      run(opened, digest, { tenant: "a", door: new ScriptedDoor(holds[i]?.script) }),
    );
    await Promise.all([holds[0]?.asked, holds[1]?.asked]);
    const modest = run(opened, digests[0] ?? "", { tenant: "b" });
    holds[0]?.answer();
    holds[1]?.answer();
    expect(await modest).toMatchObject({ status: "ok" });
    holds[2]?.answer();
    for (const outcome of await Promise.all(greedy)) expect(outcome).toMatchObject({ status: "ok" });
  });

  test("has no process when nobody has asked for it for a while", async () => {
    sandbox = await openSandbox({ runners: 1, idleMs: 10 });
    const opened = sandbox;
    const digest = await admit(sandbox, ASKS, "operator");
    expect(await run(sandbox, digest)).toMatchObject({ status: "ok" });
    await until(() => pids(opened, digest).length === 0);
    await until(() => opened.stats().retired === 1);
    expect(await run(sandbox, digest)).toMatchObject({ status: "ok" });
  });
});

describe("tenants that share runners", () => {
  const narrow = { runners: 1, maxInFlight: 1, queueLimit: 4, stallMs: 60_000 };

  test("take turns: one with many calls waiting does not keep another's waiting", async () => {
    sandbox = await openSandbox(narrow);
    const opened = sandbox;
    const digest = await admit(sandbox, ASKS);
    const { asked, script, answer } = held();
    const served: string[] = [];
    const call = (tenant: string, door = new ScriptedDoor()) =>
      run(opened, digest, { tenant, door }).then((outcome) => {
        served.push(tenant);
        return outcome;
      });
    const calls = [call("a", new ScriptedDoor(script))];
    await asked;
    calls.push(call("a"), call("a"), call("a"), call("b"));
    answer();
    for (const outcome of await Promise.all(calls)) expect(outcome).toMatchObject({ status: "ok" });
    expect(served.join("")).toBe("aabaa");
  });

  test("leave places to each other: one that has taken its share gets none of the last ones", async () => {
    sandbox = await openSandbox({ ...narrow, queueLimit: 18 });
    const opened = sandbox;
    const digest = await admit(sandbox, ASKS);
    const { asked, script, answer } = held();
    const first = run(sandbox, digest, { tenant: "a", door: new ScriptedDoor(script) });
    await asked;
    const many = Array.from({ length: 16 }, () => run(opened, digest, { tenant: "a" }));
    expect(opened.reserve(digest, "a")).toBeNull();
    const few = Array.from({ length: 2 }, () => run(opened, digest, { tenant: "b" }));
    for (const tenant of ["a", "b", "c"]) expect(opened.reserve(digest, tenant)).toBeNull();
    answer();
    for (const outcome of await Promise.all([first, ...many, ...few]))
      expect(outcome).toMatchObject({ status: "ok" });
  });
});

describe("the places of the runners", () => {
  const wide = { runners: 1, maxInFlight: 18, queueLimit: 64 };
  const inFlight = (of: Sandbox) => pids(of, "builtin")[0]?.inFlight;
  const slowCalls = (of: Sandbox, digest: string, count: number) => {
    const holds = Array.from({ length: count }, held);
    const outcomes = holds.map(({ script }) =>
      run(of, digest, { tenant: "a", door: new ScriptedDoor(script), deadline: Number.MAX_SAFE_INTEGER }),
    );
    return { holds, outcomes };
  };

  test("are all for one tenant while nobody else asks", async () => {
    sandbox = await openSandbox(wide);
    const opened = sandbox;
    const digest = await admit(sandbox, ASKS);
    const { holds, outcomes } = slowCalls(sandbox, digest, 18);
    await until(() => inFlight(opened) === 18);
    for (const { answer } of holds) answer();
    for (const outcome of await Promise.all(outcomes)) expect(outcome).toMatchObject({ status: "ok" });
  });

  test("are not all filled with one tenant's slow calls while another asks, until it asks no more", async () => {
    let ahead = 0;
    const clock = { now: () => Date.now(), monotonic: () => performance.now() + ahead };
    sandbox = await openSandbox({ ...wide, clock });
    const opened = sandbox;
    const digest = await admit(sandbox, ASKS);
    expect(await run(sandbox, digest, { tenant: "a" })).toMatchObject({ status: "ok" });
    expect(await run(sandbox, digest, { tenant: "b" })).toMatchObject({ status: "ok" });
    const { holds, outcomes } = slowCalls(sandbox, digest, 18);
    await Promise.all(holds.slice(0, 16).map(({ asked }) => asked));
    expect(pids(sandbox, "builtin")[0]).toMatchObject({ inFlight: 16, queued: 2 });
    for (let i = 0; i < 3; i++)
      expect(await run(sandbox, digest, { tenant: "b" })).toMatchObject({ status: "ok" });
    expect(pids(sandbox, "builtin")[0]).toMatchObject({ inFlight: 16, queued: 2 });
    ahead = 61_000;
    await until(() => inFlight(opened) === 18);
    for (const { answer } of holds) answer();
    for (const outcome of await Promise.all(outcomes)) expect(outcome).toMatchObject({ status: "ok" });
  });

  test("that a tenant's calls let go of are its own again", async () => {
    sandbox = await openSandbox(wide);
    const opened = sandbox;
    const digest = await admit(sandbox, ASKS);
    expect(await run(sandbox, digest, { tenant: "b" })).toMatchObject({ status: "ok" });
    const calls = new AbortController();
    const silent = Array.from({ length: 18 }, () => {
      const door = new ScriptedDoor(silence().script);
      return run(opened, digest, { tenant: "a", door, signal: calls.signal });
    });
    await until(() => inFlight(opened) === 16);
    calls.abort();
    for (const outcome of await Promise.all(silent)) expect(outcome).toMatchObject({ status: "cancelled" });
    const { holds, outcomes } = slowCalls(sandbox, digest, 17);
    await Promise.all(holds.slice(0, 16).map(({ asked }) => asked));
    expect(pids(sandbox, "builtin")[0]).toMatchObject({ inFlight: 16, queued: 1 });
    for (const { answer } of holds) answer();
    for (const outcome of await Promise.all(outcomes)) expect(outcome).toMatchObject({ status: "ok" });
  });
});

describe("a runner", () => {
  test("is replaced after so many calls, when the last of them is over", async () => {
    sandbox = await openSandbox({ runners: 1, recycleAfter: 3 });
    const opened = sandbox;
    const digest = await admit(sandbox, ASKS);
    const { asked, script, answer } = held();
    const slow = run(sandbox, digest, { door: new ScriptedDoor(script) });
    await asked;
    const [first] = pids(sandbox, "builtin");
    for (let i = 0; i < 8; i++) expect(await run(sandbox, digest)).toMatchObject({ status: "ok" });
    expect(sandbox.stats().runners.map(({ pid }) => pid)).toContain(first?.pid ?? 0);
    answer();
    expect(await slow).toMatchObject({ status: "ok" });
    await until(() => opened.stats().retired >= 2);
    expect(sandbox.stats().runners.map(({ pid }) => pid)).not.toContain(first?.pid ?? 0);
    expect(sandbox.stats().lost).toBe(0);
  });

  test("takes calls beyond those that run, as long as the others wait for the host", async () => {
    sandbox = await openSandbox({ runners: 1, maxRunning: 1, stallMs: 60_000 });
    const opened = sandbox;
    const digest = await admit(sandbox, ASKS);
    const holds = Array.from({ length: 6 }, held);
    const outcomes = holds.map(({ script }) => run(opened, digest, { door: new ScriptedDoor(script) }));
    expect(pids(sandbox, "builtin")[0]).toMatchObject({ running: 1, queued: 5 });
    await Promise.all(holds.map(({ asked }) => asked));
    expect(pids(sandbox, "builtin")[0]).toMatchObject({ running: 0, inFlight: 6, queued: 0 });
    for (const { answer } of holds) answer();
    for (const outcome of await Promise.all(outcomes)) expect(outcome).toMatchObject({ status: "ok" });
  });

  test("passes 3 MB in each direction, task, host answer and output, behind its lock", async () => {
    sandbox = await openSandbox({ runners: 1 });
    const limits = { ...LIMITS, responseBytes: 4_000_000, requestBytes: 4_000_000 };
    const task = JSON.stringify({ text: "t".repeat(3_000_000) });
    const asks = await admit(sandbox, ASKS);
    const door = new ScriptedDoor(respond(200, Buffer.alloc(3_000_000, 7)));
    for (let i = 0; i < 3; i++)
      expect(await run(sandbox, asks, { task, limits, door })).toMatchObject({ output: { status: 200 } });
    const long = await admit(sandbox, answersLength(3_000_000));
    const outcomes = await Promise.all(Array.from({ length: 4 }, () => run(opened(), long, { limits })));
    for (const outcome of outcomes) expect(outcome).toMatchObject({ output: "a".repeat(2_999_998) });
    expect(sandbox.stats().lost).toBe(0);
  });

  test("closes descriptors that it should not have", async () => {
    const child = Bun.spawn([...SELF, "__runner", "locked"], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
      env: { BUN_JSC_useWasmFastMemory: "0" },
    });
    // Takes a descriptor too; its declarations know only paths and ports.
    const connect = Bun.connect as unknown as (options: object) => Promise<unknown>;
    const greeted = new Promise<void>((resolve) => {
      const reader = new FrameReader({
        limit: () => 1024,
        frame: (kind) => {
          if (kind === FRAME.hello) resolve();
        },
      });
      const data = (_: unknown, chunk: Uint8Array) => reader.push(chunk);
      void connect({ fd: child.stdio[3], socket: { data } });
    });
    // This end hears of it when the last holder of the other one has closed it.
    const closed = new Promise<void>((resolve) => {
      void connect({ fd: child.stdio[4], socket: { data: () => undefined, end: resolve, close: resolve } });
    });
    await Promise.all([greeted, closed]);
    expect([child.exitCode, child.signalCode]).toEqual([null, null]);
    child.kill("SIGKILL");
    await child.exited;
  });
});

function opened(): Sandbox {
  if (sandbox === undefined) throw new Error("no sandbox is open");
  return sandbox;
}
