import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { CallRow } from "./calls.ts";
import type { Machine } from "./machine.ts";
import type { VerifyRow } from "./verify-speed.ts";

export interface SpeedReport {
  readonly machine: Machine;
  readonly version: string;
  readonly calls: readonly CallRow[];
  readonly verify: VerifyRow;
}

const whole = (value: number) => Math.round(value).toLocaleString("en-US");

/** The report as markdown. */
export function speedTable({ machine, version, calls, verify }: SpeedReport): string {
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
  return `\`npm run bench\`, version ${version}, ${machine.date}. ${machine.cpu}, ${machine.cores} cores, shared with the load generator and the upstream, load average ${machine.loadAverage.toFixed(1)} before the run; Linux ${machine.kernel}; ledger on ${machine.fileSystem}, where one fdatasync takes ${machine.fdatasyncMs.toFixed(2)} ms (median of 200 appends of 4 KiB).

Every call has a fresh DPoP proof, is decided by policy, runs in a fresh WebAssembly instance, and is answered after its grant and its receipt have each been synced to disk.

| Action | Connections | Calls/s | p50 ms | p99 ms | Gate CPU ms/call | Acts per commit |
|---|--:|--:|--:|--:|--:|--:|
${rows.map((row) => `| ${row} |`).join("\n")}

\`fs_read\` reads a file of 1 KB; \`http_fetch\` gets 1 KB of JSON over TLS from a server on loopback. A call is two acts: grant and receipt.

\`latchgate verify\` checks ${whole(verify.entriesPerSecond)} entries/s on a ledger of ${whole(verify.entries)} (mean payload ${whole(verify.payloadBytes)} bytes, ${whole(verify.jwsBytes)} as signed and encoded); bare \`crypto.verify\` of the same signatures does ${whole(verify.bareVerifiesPerSecond)}/s on one core.
`;
}

const BEGIN = "<!-- speed:begin -->";
const END = "<!-- speed:end -->";

/** Puts the table between the markers of a README; makes one that holds only them when there is none. */
export function publishTable(readme: string, table: string): void {
  const text = existsSync(readme)
    ? readFileSync(readme, "utf8")
    : `# LatchGate\n\n## Speed\n\n${BEGIN}\n${END}\n`;
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`${readme} has no ${BEGIN} … ${END} to write into`);
  writeFileSync(readme, `${text.slice(0, begin + BEGIN.length)}\n${table}${text.slice(end)}`);
}
