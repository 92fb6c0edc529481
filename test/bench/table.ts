import { readFileSync, writeFileSync } from "node:fs";
import type { CallRow } from "./calls.ts";
import type { Machine } from "./machine.ts";
import type { VerifyRow, VerifySpeed } from "./verify-speed.ts";

export interface SpeedReport {
  /** What measured it. */
  readonly command: string;
  readonly machine: Machine;
  readonly version: string;
  readonly calls: readonly CallRow[];
  readonly verify: VerifySpeed;
}

const whole = (value: number) => Math.round(value).toLocaleString("en-US");

/** The report as markdown. */
export function speedTable({ command, machine, version, calls, verify }: SpeedReport): string {
  const rows = calls.map((row) =>
    [
      `\`${row.action}\``,
      String(row.connections),
      whole(row.calls / row.seconds),
      row.p50.toFixed(1),
      row.p99.toFixed(1),
      row.cpuMsPerCall.toFixed(2),
      row.actsPerGroup.toFixed(1),
    ].join(" | "),
  );
  return `\`${command}\`, version ${version}, ${machine.date}. ${machine.cpu}, ${machine.cores} cores, shared with the load generator and the upstream, load average ${machine.loadAverage.toFixed(1)} before the run; Linux ${machine.kernel}; ledger on ${machine.fileSystem}, where one fdatasync takes ${machine.fdatasyncMs.toFixed(2)} ms (median of 200 appends of 4 KiB).

Every call has a fresh DPoP proof, is decided by policy, runs in a fresh WebAssembly instance, and is answered after its grant and its receipt have each been synced to disk.

| Action | Connections | Calls/s | p50 ms | p99 ms | Gate CPU ms/call | Acts per commit |
|---|--:|--:|--:|--:|--:|--:|
${rows.map((row) => `| ${row} |`).join("\n")}

\`fs_read\` reads a file of 1 KB; \`http_fetch\` gets 1 KB of JSON over TLS from a server on loopback. A call is two acts: grant and receipt.

${verifyTable(verify)}`;
}

function verifyTable({ payloadBytes, jwsBytes, rows, since, writing }: VerifySpeed): string {
  const lines = rows.map((row) =>
    [
      whole(row.entries),
      String(row.threads),
      whole(row.entriesPerSecond),
      whole(row.bareVerifiesPerSecond),
      `${Math.round((100 * row.entriesPerSecond) / row.bareVerifiesPerSecond)} %`,
      whole(row.peakMemory / 1e6),
    ].join(" | "),
  );
  return `\`latchgate verify\` of a ledger, mean payload ${whole(payloadBytes)} bytes, ${whole(jwsBytes)} as signed and encoded, beside bare \`crypto.verify\` of the same signatures in as many processes:

| Entries | Threads | Entries/s | Bare/s | Of bare | Peak MB |
|--:|--:|--:|--:|--:|--:|
${lines.map((line) => `| ${line} |`).join("\n")}

${restOf(rows)}\`--since\` a checkpoint ${whole(since.fresh)} entries back in ${whole(since.entries)} takes ${since.seconds.toFixed(2)} s. The writer takes ${writing.early_us.toFixed(0)} µs for an entry where the ledger is short and ${writing.late_us.toFixed(0)} µs at its end, in commits of 1,000 entries, signature, sync and checkpoint included.
`;
}

/** What one thread does besides the signatures: the difference of what an entry and what a signature takes. */
function restOf(rows: readonly VerifyRow[]): string {
  const alone = rows.find(({ threads }) => threads === 1);
  if (alone === undefined) return "";
  const rest = 1 / alone.entriesPerSecond - 1 / alone.bareVerifiesPerSecond;
  return `Without the signatures one thread would do ${whole(1 / rest)} entries/s (the difference of the two in the first row). `;
}

/** What was measured, with which command, when, and on what. */
export function measuredBy(command: string, version: string, machine: Machine): string {
  return `\`${command}\`, version ${version}, ${machine.date}. ${machine.cpu}, ${machine.cores} cores, load average ${machine.loadAverage.toFixed(1)} before the run; Linux ${machine.kernel}.`;
}

/** Puts a text between the markers of that name in a README. Throws when they are not there. */
export function publish(readme: string, name: string, report: string): void {
  const text = readFileSync(readme, "utf8");
  const begin = `<!-- ${name}:begin -->`;
  const at = text.indexOf(begin);
  const end = text.indexOf(`<!-- ${name}:end -->`);
  if (at < 0 || end < at) throw new Error(`${readme} has no ${begin} with an end to write into`);
  writeFileSync(readme, `${text.slice(0, at + begin.length)}\n${report}${text.slice(end)}`);
}
