/**
 * `npm run bench`: the shipped binary under load, and how fast it verifies. `--publish` puts the figures into README.md.
 * `-- --group NAME` measures one part: `calls` (the gate and the verifier), `sandbox` (a runner
 * alone, calls that wait together, guests that never end and their neighbours, and what metering costs components) or
 * `http` (what the HTTP broker and its search for credentials cost).
 * `--million` verifies a ledger of a million entries as well, which takes minutes to make for the first time.
 * LATCHGATE_BENCH_DIR names the scratch folder, which must lie on a disk; `dist/bench` by default.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { VERSION } from "../../src/core/version.ts";
import { ROOT } from "../gate-process.ts";
import { measureCalls } from "./calls.ts";
import { httpReport, measureHttp, measureScrubbing } from "./http.ts";
import { isolationReport, measureIsolation } from "./isolation.ts";
import { describeMachine } from "./machine.ts";
import { measureRunner, runnerTable } from "./runner-speed.ts";
import { measureMetering, meteringTable } from "./sandbox.ts";
import { measuredBy, publish as publishUnder, speedTable } from "./table.ts";
import { measureVerify } from "./verify-speed.ts";

const CONNECTIONS = [1, 4, 16, 64];
const ENTRIES = 100_000;

const MILLION = 1_000_000;

const README = join(ROOT, "README.md");

function scratchFolder(): string {
  return resolve(process.env.LATCHGATE_BENCH_DIR ?? join(ROOT, "dist/bench"));
}

async function bench(publish: boolean, million: boolean): Promise<void> {
  const folder = scratchFolder();
  const machine = describeMachine(folder);
  console.log(
    `${machine.cpu}, ${machine.cores} cores, load average ${machine.loadAverage.toFixed(1)}, ${machine.fileSystem}, fdatasync ${machine.fdatasyncMs.toFixed(2)} ms\n`,
  );
  mkdirSync(folder, { recursive: true });
  const scratch = mkdtempSync(join(folder, "gate-"));
  try {
    const calls = await measureCalls({
      folder: scratch,
      connections: CONNECTIONS,
      warmupMs: 500,
      measuredMs: 4000,
      onRow: (row) =>
        console.log(
          `${row.action.padEnd(10)} ${String(row.connections).padStart(2)} connections: ${Math.round(row.calls / row.seconds)} calls/s`,
        ),
    });
    const verify = await measureVerify(folder, million ? [ENTRIES, MILLION] : [ENTRIES]);
    const command = `npm run bench${million ? " -- --million" : ""}`;
    const table = speedTable({ command, machine, version: VERSION, calls, verify });
    console.log(`\n${table}`);
    if (publish) publishUnder(README, "speed", table);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Of the broker alone: it needs no disk. */
async function benchHttp(): Promise<string> {
  const scratch = mkdtempSync(join(tmpdir(), "latchgate-bench-"));
  try {
    return httpReport(await measureHttp(scratch), await measureScrubbing());
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function benchSandbox(): Promise<string> {
  const runner = runnerTable(await measureRunner());
  const isolation = isolationReport(await measureIsolation());
  return `${runner}\n${isolation}\n${meteringTable(await measureMetering())}`;
}

/** A part that has its own place in the README. */
async function part(name: string, measure: () => Promise<string>, publish: boolean): Promise<void> {
  const machine = describeMachine(scratchFolder());
  const report = `${measuredBy(`npm run bench -- --group ${name}`, VERSION, machine)}\n\n${await measure()}`;
  console.log(report);
  if (publish) publishUnder(README, `${name}-speed`, report);
}

interface Wanted {
  readonly publish: boolean;
  readonly million: boolean;
}

/** What is measured, by the name that `--group` takes; without one, everything. */
const GROUPS: Readonly<Record<string, (wanted: Wanted) => Promise<void>>> = {
  calls: ({ publish, million }) => bench(publish, million),
  sandbox: ({ publish }) => part("sandbox", benchSandbox, publish),
  http: ({ publish }) => part("http", benchHttp, publish),
};

const { values } = parseArgs({
  options: {
    publish: { type: "boolean", default: false },
    million: { type: "boolean", default: false },
    group: { type: "string" },
  },
});
const chosen = Object.keys(GROUPS).filter((name) => values.group === undefined || values.group === name);
if (chosen.length === 0) {
  console.error(`unknown group ${values.group}; there is ${Object.keys(GROUPS).join(", ")}`);
  process.exit(2);
}
try {
  for (const name of chosen) await GROUPS[name]?.(values);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
