import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../core/errors.ts";
import { ProviderError } from "./errors.ts";
import { PRELUDE } from "./prelude.ts";
import { componentizeArguments, type Toolchain } from "./toolchain.ts";
import { witImporting } from "./wit.ts";

export interface BuildOptions {
  /** Absolute path of the TypeScript or JavaScript source. */
  readonly source: string;
  readonly toolchain: Toolchain;
  /** For the programs that it starts; nothing else of the environment reaches them. */
  readonly path: string;
}

const TIME_LIMIT_MS = 120_000;
const WORLD_IMPORT = /^latchgate:provider\/(io-[a-z]+)@0\.1\.0$/;

/**
 * Makes a component of a script: bundles it with the bundler of this program, without macros, and hands the bundle to
 * the tool chain. Both run as processes of their own, in an empty folder and without the environment, so that nothing
 * in the current folder configures them. Throws `provider_build_failed`.
 */
export async function buildProvider({ source, toolchain, path }: BuildOptions): Promise<Uint8Array> {
  const folder = mkdtempSync(join(tmpdir(), "latchgate-build-"));
  try {
    const bundle = await bundled(source, folder);
    const script = join(folder, "provider.js");
    const wit = join(folder, "provider.wit");
    const out = join(folder, "provider.wasm");
    writeFileSync(script, `${bundle}\n${PRELUDE}`);
    writeFileSync(wit, witImporting(interfacesOf(bundle)));
    await run([toolchain.path, ...componentizeArguments(toolchain.kind, { script, wit, out })], folder, {
      PATH: path,
      HOME: folder,
      TMPDIR: folder,
    });
    return readFileSync(out);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One module, with every import in it but those of the world. */
async function bundled(source: string, folder: string): Promise<string> {
  const out = join(folder, "bundle.js");
  const flags = ["--no-macros", "--no-env-file", "--format=esm", "--target=bun", "--env=disable"];
  const rest = ["--external", "latchgate:*", `--outfile=${out}`, source];
  await run([process.execPath, "build", ...flags, ...rest], folder, { BUN_BE_BUN: "1", HOME: folder });
  return readFileSync(out, "utf8");
}

/** Which interfaces of the world a bundle imports. Throws `provider_build_failed` for any other import. */
function interfacesOf(bundle: string): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { path } of new Bun.Transpiler({ loader: "js" }).scanImports(bundle)) {
    const name = WORLD_IMPORT.exec(path)?.[1];
    if (name === undefined)
      throw new ProviderError("provider_build_failed", `the source imports ${JSON.stringify(path)}`, {
        hint: "a provider has latchgate:provider/io-…@0.1.0 and what can be bundled; nothing of node or bun",
      });
    names.add(name);
  }
  return names;
}

async function run(
  command: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const [program = ""] = command;
  let child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  try {
    child = Bun.spawn([...command], {
      cwd,
      env,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      timeout: TIME_LIMIT_MS,
      killSignal: "SIGKILL",
      maxBuffer: 1_048_576,
    });
  } catch (cause) {
    throw new ProviderError("provider_build_failed", `${program} cannot be run: ${messageOf(cause)}`, {
      cause,
    });
  }
  const [code, told, errors] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if (code !== 0)
    throw new ProviderError(
      "provider_build_failed",
      `${program} ended with ${code}: ${`${errors}\n${told}`.trim().slice(0, 2_048)}`,
    );
}
