/** Builds the shipped binary, `dist/latchgate`. */
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { jcoPlugin } from "./jco-plugin.ts";

const root = join(import.meta.dir, "..");
const dist = join(root, "dist");

export async function build(outfile = join(dist, "latchgate")): Promise<string> {
  mkdirSync(dist, { recursive: true });
  const fresh = `${outfile}.new`;
  const result = await Bun.build({
    entrypoints: [
      join(root, "src/main.ts"),
      join(root, "src/gate/ledger-thread.ts"),
      join(root, "src/actions/sql/statement-worker.ts"),
      join(root, "src/ledger/verify/vouch-worker.ts"),
      join(root, "src/secrets/check-worker.ts"),
      join(root, "src/sandbox/runner/probe-worker.ts"),
    ],
    root: join(root, "src"),
    target: "bun",
    minify: { whitespace: true, syntax: true },
    format: "esm",
    bytecode: true,
    // Without it every process, runners and the verifier among them, loads all of the program before it does anything.
    splitting: true,
    plugins: [jcoPlugin],
    // The gate runs in folders that agents write: nothing there may configure or extend it.
    compile: { outfile: fresh, autoloadDotenv: false, autoloadBunfig: false },
  });
  if (!result.success) throw new AggregateError(result.logs, "the build failed");
  renameSync(fresh, outfile);
  rmSync(`${fresh}.map`, { force: true });
  return outfile;
}

if (import.meta.main) console.log(await build());
