/** N12: a sandbox layer that is not in force makes start refuse, found by a probe that tries to escape from inside. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LAYER_TEXT, probeLock } from "../../src/sandbox/index.ts";
import { BINARY, openPolicy, runBinary, startGate } from "../gate-process.ts";
import { payloadOf, readRows } from "../ledger/forge.ts";
import { requireTool } from "../require-tool.ts";
import { WireAgent } from "../wire-client.ts";

const traced = requireTool("strace", "apt-get install strace");

/** The gate and all that it starts, with these system calls answered by the tracer instead of the kernel. */
function tampered(injection: string): string[] {
  const call = injection.slice(0, injection.indexOf(":"));
  return [
    Bun.which("strace") ?? "strace",
    "--follow-forks",
    "--quiet=all",
    "--signal=none",
    `--trace=${call}`,
    `--inject=${injection}`,
    "--output=/dev/null",
    "--",
  ];
}

describe("a gate whose runners lack a layer does not start", () => {
  // "error": the kernel refuses, as one without the feature does. "retval=0": it seems to have worked, and has not.
  // Which call of a thread is meant is counted: three times the engine names its memory, five times limits are read.
  for (const [layer, injection] of [
    ["system_calls", "seccomp:error=EINVAL"],
    ["system_calls", "seccomp:retval=0"],
    ["no_new_privileges", "prctl:retval=0:when=6"],
    ["not_dumpable", "prctl:error=EPERM:when=8"],
    ["not_dumpable", "prctl:retval=0:when=8"],
  ] as const)
    traced(`${layer}, by ${injection}`, async () => {
      const start = startGate({ policy: openPolicy(), wrapper: tampered(injection) });
      await expect(start).rejects.toThrow(
        new RegExp(`"code":"sandbox_layer_missing","message":"runners are not locked: [^"]*${layer}`),
      );
    });

  // Calls that the gate makes of itself as well, so that the tracer would keep it from coming as far as its runners.
  for (const [layer, injection] of [
    ["dies_with_parent", "prctl:error=EPERM:when=4"],
    ["dies_with_parent", "prctl:retval=0:when=4"],
    ["limits", "prlimit64:error=EPERM:when=6+"],
    ["limits", "prlimit64:retval=0:when=6+"],
  ] as const)
    traced(`nor would it where doctor misses ${layer}, by ${injection}`, async () => {
      const { exit, errors } = await doctor(injection);
      expect(exit).toBe(1);
      const missing = { code: "sandbox_layer_missing", text: `not in force: ${LAYER_TEXT[layer]}` };
      expect(errors).toContainEqual(expect.objectContaining(missing));
    });

  traced(
    "unless it is told to, and then it says so in the banner, the log, the status and a line",
    async () => {
      await using gate = await startGate({
        policy: openPolicy(),
        files: { "README.md": "# hello\n" },
        config: "[sandbox]\nunsafe_unlocked = true",
        wrapper: tampered("seccomp:retval=0"),
      });
      expect(gate.banner.unsafe).toBe("unsafe_unlocked");
      expect(gate.stderr()).toContain(
        "unsafe_unlocked: runners are without no_new_privileges, system_calls;",
      );
      const agent = await WireAgent.connect(gate.clientSocket);
      expect((await agent.execute("fs_read", { path: "README.md" })).status).toBe(200);
      const started = readRows(gate.ledger)
        .map(payloadOf)
        .find(({ type }) => type === "gate.started");
      expect(started?.unsafe).toEqual(["unsafe_unlocked"]);
      const { stdout } = await gate.run("status", "--json");
      expect(JSON.parse(stdout)).toMatchObject({
        sandbox_layers_missing: ["no_new_privileges", "system_calls"],
      });
    },
  );

  traced("and doctor names it", async () => {
    const { exit, ok, errors } = await doctor("seccomp:error=EINVAL");
    expect([exit, ok]).toEqual([1, false]);
    expect(errors.every(({ code }) => code === "sandbox_layer_missing")).toBe(true);
    // Without the filter nothing takes no_new_privs to the threads that there are already.
    expect(errors.filter(({ check }) => check === "sandbox").map(({ text }) => text)).toEqual([
      expect.stringContaining("no_new_privs"),
      expect.stringContaining("seccomp"),
    ]);
  });
});

/** What `latchgate doctor` says of runners that are tampered with. */
async function doctor(injection: string) {
  const folder = mkdtempSync(join(tmpdir(), "latchgate-"));
  try {
    const child = Bun.spawn([...tampered(injection), BINARY, "doctor", "--json"], {
      cwd: folder,
      env: { PATH: process.env.PATH ?? "" },
      stdout: "pipe",
    });
    const report = JSON.parse(await new Response(child.stdout).text()) as {
      ok: boolean;
      checks: { check: string; level: string; code: string; text: string }[];
    };
    const errors = report.checks.filter(({ level }) => level === "error");
    return { exit: await child.exited, ok: report.ok, errors };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe("a gate whose runners have every layer", () => {
  test("starts; doctor agrees; and each thread of each runner is held after calls as before", async () => {
    await using gate = await startGate({
      policy: openPolicy(),
      files: { "README.md": "# hello\n" },
    });
    const agent = await WireAgent.connect(gate.clientSocket);
    for (let i = 0; i < 20; i++)
      expect((await agent.execute("fs_read", { path: "README.md" })).status).toBe(200);
    const { stdout } = await gate.run("status", "--json");
    const status = JSON.parse(stdout) as { runners: { pid: number }[]; sandbox_layers_missing: string[] };
    expect(status.sandbox_layers_missing).toEqual([]);
    expect(status.runners.length).toBeGreaterThan(1);
    for (const { pid } of status.runners) {
      const threads = readdirSync(`/proc/${pid}/task`);
      expect(threads.length).toBeGreaterThan(1);
      for (const thread of threads) {
        const text = readFileSync(`/proc/${pid}/task/${thread}/status`, "latin1");
        expect(text).toMatch(/^NoNewPrivs:\t1$/m);
        expect(text).toMatch(/^Seccomp:\t2$/m);
      }
      const limits = readFileSync(`/proc/${pid}/limits`, "latin1");
      expect(limits).toMatch(/^Max file size +0 +0 /m);
      expect(limits).toMatch(/^Max core file size +0 +0 /m);
      expect(limits).toMatch(/^Max open files +16 +16 /m);
      expect(limits).toMatch(/^Max address space +\d+ +\d+ /m);
    }
    const doctor = await gate.run("doctor", "--json");
    expect([doctor.code, JSON.parse(doctor.stdout).ok]).toEqual([0, true]);
  });

  test("holds everything that is tried from inside, each thing alone behind the very filter", async () => {
    expect(await probeLock({ self: [BINARY], thorough: true, timeoutMs: 60_000 })).toEqual([]);
  }, 120_000);
});

describe("the probe", () => {
  traced(
    "finds a filter that is not there, and does not take a process's other ends for its death",
    async () => {
      const self = [...tampered("seccomp:retval=0"), BINARY];
      const found = await probeLock({ self, timeoutMs: 60_000 });
      for (const told of [
        "socket from the main thread",
        "socket from the worker thread",
        "readFile from the pool",
      ])
        expect(found.some((line) => line.startsWith(told))).toBe(true);
      expect(found.some((line) => line.endsWith("not with its death"))).toBe(true);
    },
  );

  test("is not content with a program that does nothing, dies at once, or never ends", async () => {
    for (const self of [["/bin/true"], ["/bin/sh", "-c", "kill -SYS $$"], ["/bin/sh", "-c", "read x <&2"]])
      expect((await probeLock({ self, timeoutMs: 2_000 })).length).toBeGreaterThan(1);
  });
});

test("the runner is no part of the command line", async () => {
  const { code } = await runBinary(["__runner"], { cwd: tmpdir(), env: {} });
  expect(code).not.toBe(0);
});
