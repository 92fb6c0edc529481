// Installs the pinned Bun and the locked dependencies when they are missing or stale.
// Runs on Node 20 with npm alone, so that every npm script is one command on a fresh machine.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const pinned = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).devDependencies.bun;
const wanted = createHash("sha256")
  .update(readFileSync(join(root, "package.json")))
  .update(readFileSync(join(root, "bun.lock")))
  .digest("hex");
const stamp = join(root, "node_modules", ".latchgate-install");

if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) {
  const run = spawnSync("npx", ["--yes", `bun@${pinned}`, "install", "--frozen-lockfile"], {
    cwd: root,
    stdio: "inherit",
  });
  if (run.status !== 0) {
    console.error("setup: could not install the dependencies; check the network and run the command again");
    process.exit(run.status ?? 1);
  }
  writeFileSync(stamp, wanted);
}
