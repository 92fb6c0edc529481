import { parse } from "@bytecodealliance/jco-transpile/wasm-tools";
import { compileComponent, componentFromCore } from "../../scripts/assemblyscript.ts";
import { sha256Hex } from "../../src/core/bytes.ts";

/**
 * Compiles one AssemblyScript file to a provider component. It exports `execute(ptr: usize, len: usize): usize`,
 * which answers with the address of a `result<string, string>`: see `ok` and `err` in "../lib/abi", and the sources
 * in guests.ts. `cabi_realloc` is added where the source has none.
 */
export function buildComponent(source: string): Promise<Uint8Array> {
  const realloc = source.includes("cabi_realloc")
    ? 'import "../lib/abi";'
    : 'export { reallocate as cabi_realloc } from "../lib/abi";';
  return compileComponent("guest/index.ts", { "guest/index.ts": `${realloc}\n${source}` });
}

/** The same from the text format of a core module, for what a compiler would never write. */
export async function buildComponentFromText(wat: string, wit?: string): Promise<Uint8Array> {
  return componentFromCore(await parse(wat), wit);
}

export function pinOf(component: Uint8Array): string {
  return `sha256:${sha256Hex(component)}`;
}
