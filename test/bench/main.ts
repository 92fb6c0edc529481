/**
 * `npm run bench`: the shipped binary under load, and how fast it verifies. `--publish` puts the table into README.md.
 * `-- --group sandbox` measures a runner alone.
 * LATCHGATE_BENCH_DIR names the scratch folder, which must lie on a disk; `dist/bench` by default.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { VERSION } from "../../src/core/version.ts";
import { ROOT } from "../gate-process.ts";
import { measureCalls } from "./calls.ts";
import { describeMachine } from "./machine.ts";
import { measureRunner, runnerTable } from "./runner-speed.ts";
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

/** What is measured, by the name that `--group` takes. */
const GROUPS: Readonly<Record<string, (publish: boolean) => Promise<void>>> = {
  gate: bench,
  sandbox: async () => console.log(runnerTable(await measureRunner())),
};

const { values } = parseArgs({
  options: { publish: { type: "boolean", default: false }, group: { type: "string", default: "gate" } },
});
const group = Object.hasOwn(GROUPS, values.group) ? GROUPS[values.group] : undefined;
if (group === undefined) {
  console.error(`unknown group ${values.group}; there is ${Object.keys(GROUPS).join(", ")}`);
  process.exit(2);
}
try {
  await group(values.publish);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
