/**
 * `npm run bench`: the shipped binary under load, and how fast it verifies. `--publish` puts the table into README.md.
 * `--group calls` measures only that, `--group sandbox` only what metering costs components, `--group http` only what
 * the HTTP broker and its search for credentials cost.
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
import { describeMachine } from "./machine.ts";
import { measureMetering, meteringTable } from "./sandbox.ts";
import { publishTable, speedTable } from "./table.ts";
import { measureVerify } from "./verify-speed.ts";

const CONNECTIONS = [1, 4, 16, 64];
const ENTRIES = 100_000;

async function bench(publish: boolean): Promise<void> {
  const folder = resolve(process.env.LATCHGATE_BENCH_DIR ?? join(ROOT, "dist/bench"));
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
    const verify = await measureVerify(folder, ENTRIES);
    const table = speedTable({ machine, version: VERSION, calls, verify });
    console.log(`\n${table}`);
    if (publish) publishTable(join(ROOT, "README.md"), table);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Of the broker alone: it needs no disk. */
async function benchHttp(): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), "latchgate-bench-"));
  try {
    console.log(httpReport(await measureHttp(scratch), measureScrubbing()));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const GROUPS = ["calls", "sandbox", "http"];

function options(): { readonly publish: boolean; readonly groups: readonly string[] } {
  const { values } = parseArgs({ options: { publish: { type: "boolean" }, group: { type: "string" } } });
  const { publish = false, group } = values;
  if (group !== undefined && !GROUPS.includes(group))
    throw new Error(`unknown group ${group}; there are ${GROUPS.join(", ")}`);
  if (publish && group !== undefined && group !== "calls")
    throw new Error("only the group calls is published");
  return { publish, groups: group === undefined ? GROUPS : [group] };
}

let wanted: ReturnType<typeof options>;
try {
  wanted = options();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(2);
}
try {
  if (wanted.groups.includes("calls")) await bench(wanted.publish);
  if (wanted.groups.includes("sandbox")) console.log(meteringTable(await measureMetering()));
  if (wanted.groups.includes("http")) await benchHttp();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
