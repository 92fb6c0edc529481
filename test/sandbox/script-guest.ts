import { join } from "node:path";
import { componentize } from "componentize-qjs";

const WIT = join(import.meta.dir, "../../providers/wit/provider.wit");

/** A component from JavaScript, with the engine inside, as the usual tool chain makes it: some seconds of work. */
export async function scriptGuest(
  source: string,
  options: { readonly stubWasi?: boolean } = {},
): Promise<Uint8Array> {
  const { component } = await componentize({
    witPath: WIT,
    world: "provider",
    jsSource: source,
    sync: true,
    stubWasi: options.stubWasi ?? true,
  });
  return Uint8Array.from(component);
}
