import type { OperatorSurroundings } from "../client/open.ts";

/** What commands hand to the client: where they run, and the flags that say which gate and which operator. */
export function surroundings(args: {
  readonly dir?: string | undefined;
  readonly operator?: string | undefined;
}): OperatorSurroundings {
  return {
    cwd: process.cwd(),
    env: process.env,
    dir: args.dir,
    operator: args.operator,
    askPassphrase: async (file) => (await import("./prompt.ts")).askPassphrase(file),
  };
}
