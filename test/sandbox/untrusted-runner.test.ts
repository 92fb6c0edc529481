import { afterEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { createSandbox, type Sandbox } from "../../src/sandbox/index.ts";
import { asksFor } from "./guests.ts";
import { admit, respond, run, ScriptedDoor, silence, until } from "./laboratory.ts";

const SELF = [process.execPath, join(import.meta.dir, "fake-runner.ts")];
let sandbox: Sandbox | undefined;

afterEach(async () => {
  await sandbox?.close();
  sandbox = undefined;
});

function open(lie: string): Promise<Sandbox> {
  return createSandbox({
    runners: 1,
    self: SELF,
    maxInFlight: 4,
    queueLimit: 4,
    // What is tested is what the gate makes of its words; that it has no lock is another test's subject.
    allowUnlocked: true,
    env: { FAKE_RUNNER: lie },
    // A busy machine is no lie; who never says hello is told by time alone.
    startTimeoutMs: lie === "no hello" ? 500 : 60_000,
  });
}

describe("a runner that lies about a call", () => {
  test.each([
    "noise",
    "unknown kind",
    "frame of the gate",
    "other call",
    "second hello",
    "unasked cancelled",
    "endless frame",
    "foreign host call",
    "unserved host call",
    "broken host call",
    "log flood",
    "long log",
    "broken end",
    "more fuel than there is",
    "more memory than there is",
    "host call of nobody",
    "cut frame",
    "call let go of",
    "fatal after hello",
    "exit",
  ])("is given up, with its calls: %s", async (lie) => {
    sandbox = await open(lie);
    const digest = await admit(sandbox, asksFor("https://a.example/"));
    const door = new ScriptedDoor();
    const before = sandbox.stats().runners.map(({ pid }) => pid);
    const outcome = await run(sandbox, digest, { door });
    expect(outcome).toMatchObject({ status: "runner_lost", ioCalls: 0 });
    expect(door.asked).toEqual([]);
    expect(sandbox.stats().lost).toBe(1);
    const [first] = before;
    expect(sandbox.stats().runners.map(({ pid }) => pid)).not.toContain(first);
  });

  test("gets one host call under way at a time", async () => {
    sandbox = await open("two host calls");
    const digest = await admit(sandbox, asksFor("https://a.example/"));
    const { asked, script } = silence();
    const door = new ScriptedDoor(script);
    const outcome = run(sandbox, digest, { door });
    await asked;
    expect(await outcome).toMatchObject({ status: "runner_lost", ioCalls: 1 });
    expect(door.asked).toHaveLength(1);
  });

  test("gets no second answer before it has read the first: answers do not gather in the gate", async () => {
    sandbox = await open("asks and never reads");
    const digest = await admit(sandbox, asksFor("https://a.example/"));
    const door = new ScriptedDoor(respond(200, Buffer.alloc(32 * 2 ** 20)));
    expect(await run(sandbox, digest, { door })).toMatchObject({
      status: "runner_lost",
      detail: expect.stringContaining("before the answer to the last one can have been read"),
      ioCalls: 1,
    });
    expect(door.asked).toHaveLength(1);
  });

  test("may send its frames a byte at a time", async () => {
    sandbox = await open("many small frames");
    const digest = await admit(sandbox, asksFor("https://a.example/"));
    const outcome = await run(sandbox, digest);
    expect(outcome).toMatchObject({ status: "ok", output: { ok: true } });
    expect("logs" in outcome && outcome.logs.length).toBe(8);
    expect(sandbox.stats().lost).toBe(0);
  });

  test("gets no answer in for a call that it was not given yet", async () => {
    sandbox = await open("answers before it is asked");
    const digest = await admit(sandbox, asksFor("https://a.example/"));
    expect(await run(sandbox, digest)).toMatchObject({ status: "ok" });
    const opened = sandbox;
    await until(() => opened.stats().lost === 1);
  });

  test("is given up when it says nothing any more, although it costs no processor", async () => {
    sandbox = await open("silence");
    const digest = await admit(sandbox, asksFor("https://a.example/"));
    expect(await run(sandbox, digest, { deadline: performance.now() + 20 })).toMatchObject({
      status: "deadline",
    });
    const opened = sandbox;
    await until(() => opened.stats().lost === 1);
  });

  test("gets one answer in; the second gives it up", async () => {
    sandbox = await open("two answers");
    const digest = await admit(sandbox, asksFor("https://a.example/"));
    expect(await run(sandbox, digest)).toMatchObject({ status: "ok", output: { ok: true } });
    expect(sandbox.stats().lost).toBe(1);
  });
});

describe("a call that is over", () => {
  test.each(["host call after the end", "log after the end"])("is not spoken of again: %s", async (lie) => {
    sandbox = await open(lie);
    const digest = await admit(sandbox, asksFor("https://a.example/"));
    const door = new ScriptedDoor();
    await run(sandbox, digest, { door });
    const opened = sandbox;
    await until(() => opened.stats().lost === 1);
    expect(door.asked).toEqual([]);
  });

  test("asks the host for nothing after its deadline: it is refused, and counted", async () => {
    sandbox = await open("host call after the deadline");
    const digest = await admit(sandbox, asksFor("https://a.example/"));
    const door = new ScriptedDoor();
    const outcome = await run(sandbox, digest, { door, deadline: performance.now() + 30 });
    expect(outcome).toMatchObject({ status: "deadline", ioCalls: 0 });
    const opened = sandbox;
    await until(() => opened.stats().refusedHostCalls === 1);
    expect(door.asked).toEqual([]);
    expect(sandbox.stats().lost).toBe(0);
  });
});

describe("a runner that says it is locked", () => {
  test("and is not, is not believed", async () => {
    const open = createSandbox({
      runners: 1,
      self: SELF,
      maxInFlight: 4,
      queueLimit: 4,
      env: { FAKE_RUNNER: "" },
    });
    await expect(open).rejects.toMatchObject({
      code: "sandbox_layer_missing",
      message: expect.stringContaining("limits, no_new_privileges, system_calls"),
    });
  });
});

describe("a runner that does not start", () => {
  test.each(["unknown layer", "other version", "exit before hello", "call before hello", "no hello"])(
    "fails the start of the sandbox: %s",
    async (lie) => {
      await expect(open(lie)).rejects.toMatchObject({ code: "runner_start_failed" });
    },
  );
});

describe("runners that end with nothing to do", () => {
  test("are not started over and over: calls are told that there is none", async () => {
    sandbox = await open("exit after hello");
    const digest = await admit(sandbox, asksFor("https://a.example/"));
    const opened = sandbox;
    await until(() => opened.stats().runners.length === 0);
    const door = new ScriptedDoor();
    // One that says hello in time may be given a call before it ends.
    const details: string[] = [];
    while (!details.at(-1)?.includes("no runner could be started")) {
      const outcome = await run(sandbox, digest, { door });
      if (outcome.status !== "runner_lost") throw new Error(`the call ended as ${outcome.status}`);
      details.push(outcome.detail);
      expect(details.length).toBeLessThan(10);
    }
    expect(door.asked).toEqual([]);
    expect(sandbox.stats().lost).toBeLessThan(10);
  });
});
