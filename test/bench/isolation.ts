import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import type { Sandbox } from "../../src/sandbox/index.ts";
import { BINARY, openPolicy, startGate } from "../gate-process.ts";
import { asksFor, LOGS_FOREVER, RECURSES, SPINS } from "../sandbox/guests.ts";
import { admit, ENDLESS, openSandbox, respond, run, ScriptedDoor, until } from "../sandbox/laboratory.ts";
import { WireAgent } from "../wire-client.ts";
import { fetchEgress, UNLIMITED } from "./calls.ts";
import { BenchChild } from "./child.ts";
import { cpuMs } from "./gate-cpu.ts";
import { load } from "./runner-speed.ts";
import { UPSTREAM_HOST } from "./upstream.ts";

export interface LoopRow {
  readonly name: string;
  /** Milliseconds from the deadline to the outcome, and until the runner has let go of the guest. */
  readonly outcome: Quantiles;
  readonly released: Quantiles;
  /** Runners that had to be killed for it. */
  readonly killed: number;
}

/** Milliseconds. */
interface Quantiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface Isolation {
  /** Of the minute before: above a few tenths somebody else was measured too. */
  readonly loadAverage: number;
  /** Each time, milliseconds from the first request to the last answer, and of the processor's time in the gate. */
  readonly together: readonly { readonly wallMs: number; readonly cpuMs: number }[];
  readonly loops: readonly LoopRow[];
  readonly neighbours: {
    /** Beside nothing, and beside loops, one after the other, in their own runner. */
    readonly quiet: Quantiles;
    readonly beside: Quantiles;
    readonly loops: number;
    readonly lost: number;
  };
}

const CALLS = 64;
const UPSTREAM_MS = 1000;
const ROUNDS = 3;
const LOOPS = 20;
const DEADLINE_MS = 100;
const NEIGHBOURS = 8;
const MEASURED_MS = 4000;

export async function measureIsolation(): Promise<Isolation> {
  return {
    loadAverage: loadavg()[0] ?? Number.NaN,
    together: await measureTogether(),
    loops: await measureLoops(),
    neighbours: await measureNeighbours(),
  };
}

/** Calls at once through the gate, to a service that answers each after a second. */
async function measureTogether(): Promise<Isolation["together"]> {
  const folder = mkdtempSync(join(tmpdir(), "latchgate-bench-"));
  try {
    const caFile = join(folder, "ca.pem");
    await using upstream = new BenchChild("upstream.ts", caFile, String(UPSTREAM_MS));
    const port = Number(await upstream.line());
    await using gate = await startGate({
      parent: folder,
      policy: openPolicy(),
      config: UNLIMITED + fetchEgress(port, caFile),
    });
    const agent = await WireAgent.connect(gate.clientSocket);
    const fetchOnce = async () => {
      const { status, text } = await agent.execute("http_fetch", {
        url: `https://${UPSTREAM_HOST}:${port}/`,
      });
      if (status !== 200) throw new Error(`a call was answered with ${status}: ${text}`);
    };
    const times: { wallMs: number; cpuMs: number }[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const used = cpuMs([gate.pid]);
      const began = performance.now();
      await Promise.all(Array.from({ length: CALLS }, fetchOnce));
      times.push({ wallMs: performance.now() - began, cpuMs: cpuMs([gate.pid]) - used });
    }
    return times;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const FOREVER: readonly (readonly [name: string, source: string])[] = [
  ["a plain loop", SPINS],
  ["a recursion", RECURSES],
  ["a storm of log lines", LOGS_FOREVER],
  ["a storm of host calls", asksFor("https://api.example.com/", 1_000_000_000)],
];

/** Guests that never end, with fuel without end, in one locked runner of the shipped binary. */
async function measureLoops(): Promise<readonly LoopRow[]> {
  const sandbox = await openSandbox({ self: [BINARY], runners: 1 });
  try {
    const rows: LoopRow[] = [];
    for (const [name, source] of FOREVER) {
      const digest = await admit(sandbox, source);
      const { lost } = sandbox.stats();
      const outcomes: number[] = [];
      const released: number[] = [];
      for (let i = 0; i < LOOPS; i++) {
        const deadline = performance.now() + DEADLINE_MS;
        await loopUntil(sandbox, digest, deadline);
        outcomes.push(performance.now() - deadline);
        await until(() => sandbox.stats().runners.every(({ inFlight }) => inFlight === 0));
        released.push(performance.now() - deadline);
      }
      const killed = sandbox.stats().lost - lost;
      rows.push({ name, outcome: quantiles(outcomes), released: quantiles(released), killed });
    }
    return rows;
  } finally {
    await sandbox.close();
  }
}

async function loopUntil(sandbox: Sandbox, digest: string, deadline: number): Promise<void> {
  const limits = { ...ENDLESS, ioCalls: Number.MAX_SAFE_INTEGER };
  const { status } = await run(sandbox, digest, { limits, deadline, door: new Forgetful() });
  if (status !== "deadline") throw new Error(`a loop ended as ${status}`);
}

/** Answers at once and keeps no record, which would be measured as memory of this process. */
class Forgetful extends ScriptedDoor {
  override call(...asked: Parameters<ScriptedDoor["call"]>) {
    return Promise.resolve(respond(200, "ok")(...asked));
  }
}

/** Calls that ask the host once, beside loops that begin in their runner one after the other. */
async function measureNeighbours(): Promise<Isolation["neighbours"]> {
  const sandbox = await openSandbox({ self: [BINARY], runners: 1, maxInFlight: 64 });
  try {
    const asks = await admit(sandbox, asksFor("https://api.example.com/"));
    const spins = await admit(sandbox, SPINS);
    const { lost } = sandbox.stats();
    const once = async () => {
      const { status } = await run(sandbox, asks, { door: new Forgetful() });
      if (status !== "ok" && status !== "runner_lost") throw new Error(`a call ended as ${status}`);
    };
    await load(once, NEIGHBOURS, 1000);
    const quiet = quantiles(await load(once, NEIGHBOURS, MEASURED_MS));
    let loops = 0;
    const stop = performance.now() + MEASURED_MS;
    const spinning = (async () => {
      for (; performance.now() < stop; loops++)
        await loopUntil(sandbox, spins, performance.now() + DEADLINE_MS);
    })();
    const beside = quantiles(await load(once, NEIGHBOURS, MEASURED_MS));
    await spinning;
    return { quiet, beside, loops, lost: sandbox.stats().lost - lost };
  } finally {
    await sandbox.close();
  }
}

function quantiles(times: number[]): Quantiles {
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor((times.length - 1) * share)] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

/** The figures as markdown. */
export function isolationReport({ loadAverage, together, loops, neighbours }: Isolation): string {
  const { quiet, beside } = neighbours;
  const ms = (value: number) => value.toFixed(2);
  const rounds = together.map(
    ({ wallMs, cpuMs }) => `${Math.round(wallMs)} ms (gate CPU ${Math.round(cpuMs)} ms)`,
  );
  const rows = loops.map(
    ({ name, outcome, released, killed }) =>
      `| ${name} | ${ms(outcome.p50)} | ${ms(outcome.max)} | ${ms(released.p50)} | ${ms(released.max)} | ${killed} |`,
  );
  return `${CALLS} calls at once through the gate, to an HTTPS service that answers after ${UPSTREAM_MS} ms, are over after ${rounds.join(", then ")}; load average ${loadAverage.toFixed(1)} before.

Guests that never end, ${LOOPS} of each, with a deadline of ${DEADLINE_MS} ms; milliseconds past it until the call is told so, and until its runner is free:

| Guest | Told p50 | Told max | Free p50 | Free max | Runners killed |
|---|--:|--:|--:|--:|--:|
${rows.join("\n")}

${NEIGHBOURS} neighbours in one runner, each a call that asks the host once: p50 ${ms(quiet.p50)} ms, p99 ${ms(quiet.p99)} ms, at most ${ms(quiet.max)} ms; beside ${neighbours.loops} loops of ${DEADLINE_MS} ms in their runner, one after the other: p50 ${ms(beside.p50)} ms, p99 ${ms(beside.p99)} ms, at most ${ms(beside.max)} ms, and ${neighbours.lost} runners lost.
`;
}
