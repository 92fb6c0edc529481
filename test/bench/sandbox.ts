import { join } from "node:path";
import type { MeteringReport } from "./metering.ts";

/** Measures what metering costs, in a process of its own with the engine set up as in a runner. */
export async function measureMetering(): Promise<MeteringReport> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "metering.ts")], {
    stdout: "pipe",
    stderr: "inherit",
    env: { BUN_JSC_useWasmFastMemory: "0" },
  });
  const line = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error("the metering benchmark failed");
  return JSON.parse(line) as MeteringReport; // what metering.ts printed
}

/** The report as markdown. */
export function meteringTable({ rows, rewriteMs, plainBytes, meteredBytes }: MeteringReport): string {
  const lines = rows.map(({ name, plainMs, meteredMs, fuel }) =>
    [
      `\`${name}\``,
      plainMs.toFixed(1),
      meteredMs.toFixed(1),
      `×${(meteredMs / plainMs).toFixed(2)}`,
      Math.round(fuel).toLocaleString("en-US"),
      Math.round(fuel / (meteredMs * 1_000)).toLocaleString("en-US"),
    ].join(" | "),
  );
  return `| Work | As it is, ms | Metered, ms | | Fuel | Fuel per µs |
|---|--:|--:|--:|--:|--:|
${lines.map((line) => `| ${line} |`).join("\n")}

Rewriting this module of ${plainBytes.toLocaleString("en-US")} bytes takes ${rewriteMs.toFixed(2)} ms and gives ${meteredBytes.toLocaleString("en-US")} bytes.
`;
}
