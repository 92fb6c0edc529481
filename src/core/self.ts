import { join } from "node:path";

/** Whether this code runs from the compiled binary, whose modules live in a virtual folder of their own. */
export const compiled: boolean = Bun.main.startsWith("/$bunfs/");

const SOURCE = join(import.meta.dir, "..");

/**
 * How to start this program again with other arguments: the binary alone when compiled, else the runtime and the
 * entry source.
 */
export const selfCommand: readonly string[] = compiled
  ? [process.execPath]
  : [process.execPath, join(SOURCE, "main.ts")];

/**
 * The specifier of a worker entry, given relative to `src`. In the binary it must be the relative one: the build
 * machine's paths survive in `import.meta` under byte code, and a worker must never come from a disk path.
 */
export function workerEntry(path: string): string {
  return compiled ? `./${path}` : join(SOURCE, path);
}
