import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { openPolicy, ROOT, startGate } from "../gate-process.ts";
import { payloadOf, readRows } from "../ledger/forge.ts";

const BENCH = join(ROOT, "test/bench");
const ORDER = { connections: 2, warmupMs: 50, measuredMs: 300 };

/** Modules that a bench file names, relative to the repository, itself first; followed within the bench folder. */
function reached(file: string, seen = new Set<string>()): Set<string> {
  const name = relative(ROOT, file);
  if (seen.has(name)) return seen;
  seen.add(name);
  if (!file.startsWith(BENCH)) return seen;
  const text = readFileSync(file, "utf8");
  for (const [, specifier = ""] of text.matchAll(/(?:from|import\()\s*"(\.[^"]+)"/g))
    reached(resolve(dirname(file), specifier), seen);
  return seen;
}

test("what measures calls reaches the gate through the binary alone", () => {
  const measuring = [...reached(join(BENCH, "calls.ts")), ...reached(join(BENCH, "load.ts"))];
  expect(measuring).toContain("test/bench/load.ts");
  expect(measuring).toContain("test/gate-process.ts");
  expect(measuring.filter((name) => name.startsWith("src/"))).toEqual([]);
});

// The group `http` sets the broker against a bare client, the group `sandbox` runners and metering against less of either
// by themselves; both are published as parts, and never as what a gate does.
const ALLOWED =
  /^(?:made-ledger\.ts: src\/gate\/acts\/|http\.ts: src\/host\/|(?:isolation|metering|runner-speed)\.ts: src\/sandbox\/)/;

test("nothing in the bench imports the server or the sandbox, and of the gate only what makes a log to verify", () => {
  const found = readdirSync(BENCH)
    .filter((name) => name.endsWith(".ts"))
    .flatMap((name) =>
      [
        ...readFileSync(join(BENCH, name), "utf8").matchAll(
          /from\s+"[./]*(src\/(?:gate|server|sandbox|host)\/[^"]+)"/g,
        ),
      ].map(([, path = ""]) => `${name}: ${path}`),
    );
  expect(found.filter((line) => !ALLOWED.test(line))).toEqual([]);
});

async function load(
  socket: string,
  params: Record<string, string>,
): Promise<{ code: number; lines: string[] }> {
  const child = Bun.spawn(
    [
      process.execPath,
      join(BENCH, "load.ts"),
      JSON.stringify({ socket, action: "fs_read", params, ...ORDER }),
    ],
    { stdin: Buffer.from("go\n"), stdout: "pipe", stderr: "pipe" },
  );
  const [stdout, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
  return { code, lines: stdout.split("\n").filter((line) => line !== "") };
}

test("a figure counts calls that were executed: each has its receipt, and one that fails ends the measurement", async () => {
  await using gate = await startGate({
    policy: openPolicy(),
    files: { "README.md": "# hello\n" },
    config: "[rate_limits]\npeer_rps = 1000000\nexecute_rps_per_session = 1000000",
  });
  const good = await load(gate.clientSocket, { path: "README.md" });
  expect(good.code).toBe(0);
  const { calls, seconds } = JSON.parse(good.lines.at(-1) ?? "null");
  expect(calls).toBeGreaterThan(0);
  expect(seconds).toBeGreaterThan(0);
  const executed = readRows(gate.ledger)
    .map(payloadOf)
    .filter((entry) => entry.status === "executed");
  expect(executed.length).toBeGreaterThanOrEqual(calls);

  const failing = await load(gate.clientSocket, { path: "src/absent.txt" });
  expect(failing.code).not.toBe(0);
  expect(failing.lines.filter((line) => line.startsWith("{"))).toEqual([]);
});
