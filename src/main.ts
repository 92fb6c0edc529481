import { runCommandLine } from "./commands/run.ts";
import { COMMANDS } from "./commands/table.ts";

/** Entries of processes that the program starts of itself; no part of the command line, and they read none. */
const PROCESSES: { readonly [name: string]: ((words: readonly string[]) => Promise<unknown>) | undefined } = {
  __runner: async (words) => (await import("./sandbox/runner/main.ts")).runnerMain(words),
  __sqlite: async () => (await import("./host/database/sqlite-process.ts")).sqliteMain(),
};

const words = process.argv.slice(2);
const name = words[0] ?? "";
const entry = Object.hasOwn(PROCESSES, name) ? PROCESSES[name] : undefined;
if (entry !== undefined) await entry(words.slice(1));
else {
  const code = await runCommandLine(COMMANDS, words);
  // A command that returned no code is still at work, and ends the process by having nothing left to do.
  if (code !== undefined) process.exit(code);
}
