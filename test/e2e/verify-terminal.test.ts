/** What a person sees of a long verification: a bar on a terminal, and nothing of it anywhere else. */
import { afterAll, beforeAll, expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BINARY, runBinary } from "../gate-process.ts";
import { requireTool } from "../require-tool.ts";

const withScript = requireTool("script", "apt-get install bsdutils");

/** More than go by between two looks of the bar. */
const ENTRIES = 8300;
let folder: string;
let ledger: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "latchgate-terminal-"));
  ledger = join(folder, "ledger.db");
  const maker = join(import.meta.dir, "../bench/made-ledger.ts");
  const made = Bun.spawn([process.execPath, maker, folder, String(ENTRIES)], { stdout: "ignore" });
  expect(await made.exited).toBe(0);
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Everything that a terminal is told, standard error included. */
async function onTerminal(...flags: readonly string[]): Promise<string> {
  const command = [BINARY, "verify", ledger, ...flags].map((word) => `'${word}'`).join(" ");
  const child = Bun.spawn(["script", "--quiet", "--return", "--command", command, "/dev/null"], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const text = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  return text;
}

for (const threads of [1, 2])
  withScript(
    `on a terminal a bar grows, and is gone before the verdict, with ${threads} threads`,
    async () => {
      const text = await onTerminal("--threads", String(threads));
      const shares = [...text.matchAll(/\r\[(#*)( *)\] (\d+) % of 8\d{3} entries/g)];
      expect(shares.length).toBeGreaterThan(1);
      const percent = shares.map(([, , , share]) => Number(share));
      expect(percent).toEqual([...percent].sort((a, b) => a - b));
      expect(percent[0]).toBeGreaterThan(30);
      for (const [, full = "", free = "", share] of shares) {
        expect(full.length + free.length).toBe(24);
        // The share is rounded down to whole percents.
        expect(Math.abs(full.length - (Number(share) * 24) / 100)).toBeLessThan(1);
      }
      expect(text.slice(text.lastIndexOf("entries") - 600)).toContain("\r\u001b[Kconsistent");
    },
  );

withScript("as json, or where nobody looks, there is none", async () => {
  expect(await onTerminal("--json")).not.toContain("#");
  const { stdout, stderr } = await runBinary(["verify", ledger], { cwd: folder, env: {} });
  expect({ stderr, first: stdout.split(",")[0] }).toEqual({ stderr: "", first: "consistent" });
});
