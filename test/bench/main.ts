/**
 * `npm run bench`: the shipped binary under load, and how fast it verifies. `--publish` puts the table into README.md,
 * `--million` verifies a ledger of a million entries as well, which takes minutes to make for the first time.
 * LATCHGATE_BENCH_DIR names the scratch folder, which must lie on a disk; `dist/bench` by default.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { VERSION } from "../../src/core/version.ts";
import { ROOT } from "../gate-process.ts";
import { measureCalls } from "./calls.ts";
import { describeMachine } from "./machine.ts";
import { publishTable, speedTable } from "./table.ts";
import { measureVerify } from "./verify-speed.ts";

const CONNECTIONS = [1, 4, 16, 64];
const ENTRIES = 100_000;

const MILLION = 1_000_000;

async function bench(publish: boolean, million: boolean): Promise<void> {
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
    const verify = await measureVerify(folder, million ? [ENTRIES, MILLION] : [ENTRIES]);
    const command = `npm run bench${million ? " -- --million" : ""}`;
    const table = speedTable({ command, machine, version: VERSION, calls, verify });
    console.log(`\n${table}`);
    if (publish) publishTable(join(ROOT, "README.md"), table);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const FLAGS = ["--publish", "--million"];
const unknown = process.argv.slice(2).filter((word) => !FLAGS.includes(word));
if (unknown.length > 0) {
  console.error(`unknown argument ${unknown.join(" ")}; there are ${FLAGS.join(" and ")}`);
  process.exit(2);
}
try {
  await bench(process.argv.includes("--publish"), process.argv.includes("--million"));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
