import { readFileSync } from "node:fs";
import { RunnerSupply } from "../../src/sandbox/runner-supply.ts";
import { BINARY } from "../gate-process.ts";
import { asksFor } from "../sandbox/guests.ts";
import { admit, openSandbox, respond, run, ScriptedDoor } from "../sandbox/laboratory.ts";

export interface RunnerRow {
  readonly inFlight: number;
  readonly callsPerSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

export interface RunnerSpeed {
  readonly rows: readonly RunnerRow[];
  /** Of the one runner, after all the calls. */
  readonly residentMiB: number;
  /** From spawn to its hello, locked and looked at from outside; median, milliseconds. */
  readonly readyMs: number;
}

const IN_FLIGHT = [1, 16, 64];
const WARMUP_MS = 1000;
const MEASURED_MS = 4000;
const STARTS = 20;

/**
 * One locked runner of the shipped binary, driven by the pool that the gate uses: each call is a fresh instance that
 * asks the host once and gets its answer at once.
 */
export async function measureRunner(): Promise<RunnerSpeed> {
  const sandbox = await openSandbox({
    self: [BINARY],
    runners: 1,
    maxInFlight: 256,
    recycleAfter: 10_000_000,
  });
  try {
    const digest = await admit(sandbox, asksFor("https://api.example.com/"));
    const door = new ScriptedDoor(respond(200, "ok"));
    const once = async () => {
      const outcome = await run(sandbox, digest, { door });
      if (outcome.status !== "ok") throw new Error(`a call ended as ${outcome.status}`);
    };
    const rows: RunnerRow[] = [];
    for (const inFlight of IN_FLIGHT) {
      await load(once, inFlight, WARMUP_MS);
      const times = await load(once, inFlight, MEASURED_MS);
      times.sort((a, b) => a - b);
      const at = (share: number) => times[Math.floor((times.length - 1) * share)] ?? Number.NaN;
      rows.push({
        inFlight,
        callsPerSecond: (times.length * 1000) / MEASURED_MS,
        p50: at(0.5),
        p99: at(0.99),
      });
      // What was asked is of no interest here, and would be measured as memory of this process.
      door.asked.length = 0;
    }
    const pid = sandbox.stats().runners.find(({ group }) => group === "builtin")?.pid ?? 0;
    return { rows, residentMiB: residentMiB(pid), readyMs: await measureStart() };
  } finally {
    await sandbox.close();
  }
}

/** Durations of calls that began within the time, milliseconds. */
export async function load(once: () => Promise<void>, inFlight: number, ms: number): Promise<number[]> {
  const times: number[] = [];
  const end = performance.now() + ms;
  const worker = async () => {
    for (let began = performance.now(); began < end; ) {
      await once();
      const now = performance.now();
      times.push(now - began);
      began = now;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return times;
}

async function measureStart(): Promise<number> {
  const supply = new RunnerSupply(
    {
      self: [BINARY],
      env: {},
      allowUnlocked: false,
      startTimeoutMs: 10_000,
      cancelGraceMs: 50,
      now: () => performance.now(),
      onRefused: () => undefined,
    },
    { onLost: () => undefined, onChange: () => undefined },
  );
  const times: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    const began = performance.now();
    const runner = await supply.start();
    times.push(performance.now() - began);
    runner.retireWhenFree();
    await runner.exited;
  }
  await supply.close();
  times.sort((a, b) => a - b);
  return times[times.length >> 1] ?? Number.NaN;
}

function residentMiB(pid: number): number {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]);
  return (pages * 4096) / 2 ** 20;
}

/** The figures as markdown. */
export function runnerTable({ rows, residentMiB: resident, readyMs }: RunnerSpeed): string {
  return `One locked runner, a fresh instance and one host call each; it has ${resident.toFixed(0)} MiB resident afterwards, and is ready ${readyMs.toFixed(1)} ms after its spawn:

| In flight | Calls/s | p50 ms | p99 ms |
|--:|--:|--:|--:|
${rows
  .map(
    ({ inFlight, callsPerSecond, p50, p99 }) =>
      `| ${inFlight} | ${Math.round(callsPerSecond).toLocaleString("en-US")} | ${p50.toFixed(2)} | ${p99.toFixed(2)} |`,
  )
  .join("\n")}
`;
}
