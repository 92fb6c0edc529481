import { readFileSync } from "node:fs";
import { join } from "node:path";
import { componentEmbed, componentNew } from "@bytecodealliance/jco-transpile/wasm-tools";
import asc from "assemblyscript/asc";

const PROVIDERS = join(import.meta.dir, "..", "providers");

export function providerWit(): string {
  return readFileSync(join(PROVIDERS, "wit", "provider.wit"), "utf8");
}

/**
 * Compiles AssemblyScript to a component of the world `latchgate:provider/provider`.
 * `entry` is a path relative to providers/; `sources` adds or replaces files by such a path. The entry exports
 * `execute` and `cabi_realloc`. The same sources always give the same bytes.
 */
export async function compileComponent(
  entry: string,
  sources: Readonly<Record<string, string>> = {},
): Promise<Uint8Array> {
  return componentFromCore(await compileCore(entry, sources));
}

/** A component around a core module that follows the canonical ABI's names. */
export async function componentFromCore(core: Uint8Array, wit: string = providerWit()): Promise<Uint8Array> {
  const embedded = await componentEmbed({ binary: core, witSource: wit, world: "provider" });
  return componentNew(embedded);
}

/** The core module alone. */
export async function compileCore(
  entry: string,
  sources: Readonly<Record<string, string>>,
): Promise<Uint8Array> {
  const flags = ["--runtime", "stub", "-O3", "--noAssert", "--use", "abort=lib/abi/abort"];
  let core: Uint8Array | undefined;
  const { error, stderr } = await asc.main([entry, "--outFile", "core.wasm", ...flags], {
    readFile: (name) => sources[name] ?? readSource(name),
    writeFile: (_name, contents) => {
      if (typeof contents !== "string") core = contents;
    },
    listFiles: () => [],
  });
  if (error !== null || core === undefined)
    throw new Error(`assemblyscript could not compile ${entry}: ${stderr.toString()}`, { cause: error });
  return core;
}

function readSource(name: string): string | null {
  try {
    return readFileSync(join(PROVIDERS, name), "utf8");
  } catch {
    // The compiler asks for each place where a file might be; null says it is not there.
    return null;
  }
}
