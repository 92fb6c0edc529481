/**
 * The whole check: types, lint, the binary, and every test against it. `LATCHGATE_TEST_REQUIRE=all` turns tests that
 * are skipped for want of a tool into failures. The last line counts what passed and what failed.
 */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { build } from "./build.ts";

const root = join(import.meta.dir, "..");
const BUN = process.execPath;

let passed = 0;
let failed = 0;
let skipped = 0;

function verdict(name: string, good: boolean): void {
  if (good) passed++;
  else failed++;
  console.log(`${good ? "ok" : "FAILED"}: ${name}`);
}

async function tool(name: string, words: readonly string[]): Promise<void> {
  const child = Bun.spawn([BUN, "x", ...words], {
    cwd: root,
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
  });
  verdict(name, (await child.exited) === 0);
}

await tool("type check", ["tsc", "--noEmit"]);
await tool("lint and format", ["biome", "check", "."]);
try {
  await build();
  verdict("build of dist/latchgate", true);
} catch (error) {
  console.error(error);
  verdict("build of dist/latchgate", false);
}

/** Folders whose tests start gates and servers: first, and each file by itself, so that no core waits at the end. */
const LONG = ["test/e2e", "test/adversarial", "test/commands"];
/** Files of the others that share a process. */
const TOGETHER = 8;

/** What is handed to one `bun test` each: the words of the command line, or every test file. */
function batches(words: readonly string[]): string[][] {
  if (words.length > 0) return [[...words]];
  const files = [...new Bun.Glob("test/**/*.test.ts").scanSync({ cwd: root })].sort();
  const isLong = (file: string) => LONG.some((folder) => file.startsWith(`${folder}/`));
  const others = files.filter((file) => !isLong(file));
  const shared = Array.from({ length: Math.ceil(others.length / TOGETHER) }, (_, i) =>
    others.slice(i * TOGETHER, (i + 1) * TOGETHER),
  );
  return [...files.filter(isLong).map((file) => [file]), ...shared];
}

/** Runs tests in a process of their own, and shows what it told when it is over. */
async function run(batch: readonly string[]): Promise<void> {
  const child = Bun.spawn([BUN, "test", "--timeout", "60000", ...batch], {
    cwd: root,
    stdin: "ignore",
    stdout: "inherit",
    stderr: "pipe",
    env: { ...process.env, FORCE_COLOR: "0" },
  });
  const told = await child.stderr.text();
  process.stderr.write(told);
  const exit = await child.exited;
  const tail = told.slice(-20_000);
  const count = (word: string) => Number(new RegExp(`^\\s*(\\d+) ${word}$`, "m").exec(tail)?.[1] ?? 0);
  passed += count("pass");
  failed += count("fail");
  skipped += count("skip");
  const named = batch.join(" ");
  // A runner that ends badly without saying which test it was: that is a failure too.
  if (exit !== 0 && count("fail") === 0) verdict(`test runner (exit ${exit}): ${named}`, false);
  if (count("pass") + count("skip") === 0) verdict(`at least one test ran: ${named}`, false);
  if (count("fail") > 0) broken.push(...told.split("\n").filter((line) => line.startsWith("(fail)")));
}

const broken: string[] = [];
const waiting = batches(process.argv.slice(2));
const worker = async () => {
  for (let batch = waiting.shift(); batch !== undefined; batch = waiting.shift()) await run(batch);
};
await Promise.all(Array.from({ length: availableParallelism() }, worker));
for (const line of new Set(broken)) console.log(line);
if (skipped > 0 && process.env.LATCHGATE_TEST_REQUIRE === "all") {
  failed += skipped;
  skipped = 0;
}
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exit(failed === 0 ? 0 : 1);
