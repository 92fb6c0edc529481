/**
 * The whole check: types, lint, the binary, and every test against it. `LATCHGATE_TEST_REQUIRE=all` turns tests that
 * are skipped for want of a tool into failures. The last line counts what passed and what failed.
 */
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

const files = process.argv.slice(2);
const child = Bun.spawn([BUN, "test", "--timeout", "60000", ...files], {
  cwd: root,
  stdin: "ignore",
  stdout: "inherit",
  stderr: "pipe",
  env: { ...process.env, FORCE_COLOR: "0" },
});
const decoder = new TextDecoder();
let tail = "";
for await (const chunk of child.stderr) {
  const text = decoder.decode(chunk, { stream: true });
  process.stderr.write(text);
  tail = (tail + text).slice(-20_000);
}
const exit = await child.exited;
const count = (word: string) => Number(new RegExp(`^\\s*(\\d+) ${word}$`, "m").exec(tail)?.[1] ?? 0);
passed += count("pass");
failed += count("fail");
skipped += count("skip");
// A runner that ends badly without saying which test it was: that is a failure too.
if (exit !== 0 && count("fail") === 0) verdict(`test runner (exit ${exit})`, false);
if (count("pass") === 0) verdict("at least one test ran", false);
if (skipped > 0 && process.env.LATCHGATE_TEST_REQUIRE === "all") {
  failed += skipped;
  skipped = 0;
}
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exit(failed === 0 ? 0 : 1);
