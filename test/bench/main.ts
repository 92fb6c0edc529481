/**
 * `npm run bench`: the shipped binary under load, how fast it verifies, and what the HTTP broker and its search for
 * credentials cost. `--publish` puts the table into README.md. `npm run bench -- http` does the last group alone.
 * LATCHGATE_BENCH_DIR names the scratch folder, which must lie on a disk; `dist/bench` by default.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { VERSION } from "../../src/core/version.ts";
import { ROOT } from "../gate-process.ts";
import { measureCalls } from "./calls.ts";
import { httpReport, measureHttp, measureScrubbing } from "./http.ts";
import { describeMachine } from "./machine.ts";
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

/** The group `http`, of the broker alone: it needs no disk. */
async function benchHttp(): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), "latchgate-bench-"));
  try {
    console.log(httpReport(await measureHttp(scratch), measureScrubbing()));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const words = process.argv.slice(2);
const unknown = words.filter((word) => word !== "--publish" && word !== "http");
if (unknown.length > 0 || words.length > 1) {
  console.error(`unknown argument ${words.join(" ")}; give --publish, or http for that group alone`);
  process.exit(2);
}
try {
  if (!words.includes("http")) await bench(words.includes("--publish"));
  await benchHttp();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
