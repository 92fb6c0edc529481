/**
 * N13: a provider with an endless loop is dead within its deadline plus 50 ms, its core is free again, its neighbours
 * unharmed. Against runners of the compiled binary, locked as they are shipped.
 */
import { afterEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { Sandbox } from "../../src/sandbox/index.ts";
import { BINARY } from "../gate-process.ts";
import { answers, asksFor, LOGS_FOREVER, RECURSES, SPINS } from "../sandbox/guests.ts";
import { admit, ENDLESS, held, openSandbox, run, ScriptedDoor, until } from "../sandbox/laboratory.ts";

let sandbox: Sandbox | undefined;

afterEach(async () => {
  await sandbox?.close();
  sandbox = undefined;
});

/** Ways of never ending, with fuel without end. */
const FOREVER = [SPINS, RECURSES, LOGS_FOREVER, asksFor("https://api.example.com/", 1_000_000_000)];

test("ends at its deadline, its neighbour goes on, and every core is free and every runner well 15 s later", async () => {
  const opened = await openSandbox({ self: [BINARY], runners: 2 });
  sandbox = opened;
  const loops = await Promise.all(FOREVER.map((source) => admit(opened, source)));
  const asks = await admit(opened, asksFor("https://api.example.com/"));
  const { asked, script, answer } = held();
  const neighbour = run(opened, asks, { door: new ScriptedDoor(script) });
  await asked;
  const ended: string[] = [];
  const told = neighbour.finally(() => ended.push("the neighbour"));
  for (const digest of loops) {
    const limits = { ...ENDLESS, ioCalls: Number.MAX_SAFE_INTEGER };
    const outcome = await run(opened, digest, { limits, deadline: performance.now() + 200 });
    expect(outcome).toMatchObject({ status: "deadline" });
    ended.push("a loop");
    // Its deadline and the grace for letting go; whatever still spins after that is killed.
    await until(() => opened.stats().runners.every(({ running }) => running === 0));
  }
  answer();
  expect(await told).toMatchObject({ status: "ok", ioCalls: 1 });
  expect(ended).toEqual([...FOREVER.map(() => "a loop"), "the neighbour"]);
  await until(() => opened.stats().runners.length === 3);

  const before = opened.stats().runners.map(({ pid }) => pid);
  const { lost } = opened.stats();
  const began = before.map(cpuTicks);
  // Helper threads of the engine end when they have been idle for ten seconds; a lock that keeps them from it would
  // have them try for ever.
  await Bun.sleep(15_000);
  const spent = before.map((pid, at) => cpuTicks(pid) - (began[at] ?? 0));
  for (const ticks of spent) expect(ticks).toBeLessThan(75);
  expect(opened.stats().runners.map(({ pid }) => pid)).toEqual(before);
  expect(opened.stats().lost).toBe(lost);
  for (let i = 0; i < 8; i++) expect(await run(opened, asks)).toMatchObject({ status: "ok" });
}, 60_000);

test("does not keep new calls waiting: the spare takes them while it computes", async () => {
  const opened = await openSandbox({ self: [BINARY], runners: 1, stallMs: 20 });
  sandbox = opened;
  const spins = await admit(opened, SPINS);
  const quick = await admit(opened, answers('{"ok":true}'));
  const stop = new AbortController();
  const loop = run(opened, spins, {
    limits: ENDLESS,
    signal: stop.signal,
    deadline: performance.now() + 600_000,
  });
  const [busy] = opened.stats().runners;
  const pid = busy?.pid ?? 0;
  const before = cpuTicks(pid);
  await until(() => cpuTicks(pid) > before + 10);
  expect(await run(opened, quick)).toMatchObject({ status: "ok" });
  expect(opened.stats().runners.find(({ running }) => running > 0)?.pid).toBe(pid);
  stop.abort();
  expect(await loop).toMatchObject({ status: "cancelled" });
}, 60_000);

/** CPU time of a process so far, in ticks of 10 ms (proc(5), stat, fields 14 and 15). */
function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return Number(fields[11]) + Number(fields[12]);
}
