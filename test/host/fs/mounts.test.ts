import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const top = realpathSync(mkdtempSync(join(tmpdir(), "mounts-")));
afterAll(() => rmSync(top, { recursive: true }));
mkdirSync(join(top, "src/other"), { recursive: true });
writeFileSync(join(top, "src/a.txt"), "a");

/** A shell that has mounted a file system of its own, which nobody else sees and which ends with it. */
const inside = (then: string) => [
  ...["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"],
  `mount -t tmpfs none "$1/src/other"; echo b > "$1/src/other/b.txt"; ${then}`,
  ...["sh", top],
];
const possible = Bun.which("unshare") !== null && Bun.spawnSync(inside("true")).exitCode === 0;

test.skipIf(!possible)("a root ends where another file system begins", async () => {
  const script = `exec "$0" "${join(import.meta.dir, "mounted.ts")}" "$1"`.replace("$0", process.execPath);
  const child = Bun.spawn(inside(script), { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [told, said] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  expect([await child.exited, said]).toEqual([0, ""]);
  const crossed = "symlink_escape";
  const wanted = [null, crossed, crossed, crossed, crossed];
  expect(JSON.parse(told)).toEqual({ openat2: wanted, walking: wanted });
});
