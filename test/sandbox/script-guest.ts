import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { componentize } from "componentize-qjs";
import { PROVIDER_WIT, witImporting } from "../../src/providers/wit.ts";

/**
 * A component from JavaScript, with the engine inside, as the usual tool chain makes it: some seconds of work. It imports
 * all of the world, or only these interfaces of it.
 */
export async function scriptGuest(
  source: string,
  options: { readonly stubWasi?: boolean; readonly interfaces?: readonly string[] } = {},
): Promise<Uint8Array> {
  const { interfaces } = options;
  const scratch = mkdtempSync(join(tmpdir(), "latchgate-script-"));
  try {
    const witPath = join(scratch, "provider.wit");
    writeFileSync(witPath, interfaces === undefined ? PROVIDER_WIT : witImporting(new Set(interfaces)));
    const { component } = await componentize({
      witPath,
      world: "provider",
      jsSource: source,
      sync: true,
      stubWasi: options.stubWasi ?? true,
    });
    return Uint8Array.from(component);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
