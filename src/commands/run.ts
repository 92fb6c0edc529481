import { didYouMean } from "../core/suggest.ts";
import { VERSION } from "../core/version.ts";
import { quoted, readArgv } from "./argv.ts";
import { type Command, type CommandTable, cittyArgs } from "./command.ts";
import { EXIT, exitCodeFor, UsageError } from "./exit-code.ts";
import { hasColour, note, paint, printError, printLine } from "./output.ts";

/**
 * Runs one command line (without the program's name). The exit code, or undefined when the command leaves the
 * process to end by itself. Everything thrown is printed here, and nowhere else.
 */
export async function runCommandLine(
  table: CommandTable,
  words: readonly string[],
): Promise<number | undefined> {
  try {
    return await dispatch(table, words);
  } catch (error) {
    const end = words.indexOf("--");
    printError(error, (end < 0 ? words : words.slice(0, end)).includes("--json"));
    return exitCodeFor(error);
  }
}

async function dispatch(table: CommandTable, words: readonly string[]): Promise<number | undefined> {
  const [first, ...after] = words;
  if (first === undefined) {
    note(overview(table, 2));
    return EXIT.usage;
  }
  if (first === "--help" || first === "-h" || first === "help") {
    await printLine(overview(table, 1));
    return EXIT.done;
  }
  if (first === "--version" || first === "-V") {
    await printLine(VERSION);
    return EXIT.done;
  }
  let command = await find(table, first, "latchgate");
  let rest: readonly string[] = after;
  while (command.subCommands !== null) {
    const name = rest.find((word) => !word.startsWith("-"));
    if (asksForHelp(rest) && name === undefined) break;
    if (name === undefined)
      throw new UsageError(
        `latchgate ${command.meta.name} needs a subcommand: ${Object.keys(command.subCommands).join(", ")}`,
      );
    const at = rest.indexOf(name);
    rest = [...rest.slice(0, at), ...rest.slice(at + 1)];
    command = await find(command.subCommands, name, `latchgate ${command.meta.name}`);
  }
  const [also] = rest;
  if (command.also !== null && also !== undefined && Object.hasOwn(command.also, also)) {
    command = await find(command.also, also, `latchgate ${command.meta.name}`);
    rest = rest.slice(1);
  }
  if (asksForHelp(rest)) {
    await printLine(await usage(command));
    return EXIT.done;
  }
  const code: unknown = await command.run(readArgv(command, rest));
  return typeof code === "number" ? code : undefined;
}

function asksForHelp(words: readonly string[]): boolean {
  const end = words.indexOf("--");
  return (end < 0 ? words : words.slice(0, end)).some((word) => word === "--help" || word === "-h");
}

async function find(table: CommandTable, name: string, parent: string): Promise<Command> {
  const entry = Object.hasOwn(table, name) ? table[name] : undefined;
  if (entry !== undefined) return (await entry.load()).default;
  if (name.startsWith("-")) throw new UsageError(`unknown flag ${quoted(name)}`, `see ${parent} --help`);
  const near = didYouMean(name, Object.keys(table));
  throw new UsageError(
    `${parent} has no command ${quoted(name)}`,
    near === undefined ? `see ${parent} --help` : `did you mean ${parent} ${near}?`,
  );
}

function overview(table: CommandTable, fd: 1 | 2): string {
  const colour = hasColour(fd);
  const names = Object.keys(table);
  const width = Math.max(...names.map((name) => name.length));
  return [
    "latchgate stands between agents and the real world: it decides, runs and records what they do.",
    "",
    paint("usage: latchgate <command> [options]", "bold", colour),
    "",
    ...names.map((name) => `  ${name.padEnd(width)}  ${table[name]?.summary ?? ""}`),
    "",
    "latchgate <command> --help shows a command's flags; every command takes --json.",
  ].join("\n");
}

/** citty renders it; loaded here alone, as no other way through the program needs it. */
async function usage(command: Command): Promise<string> {
  const { renderUsage } = await import("citty");
  const { stripVTControlCharacters } = await import("node:util");
  const subCommands = Object.entries(command.subCommands ?? command.also ?? {}).map(
    ([name, entry]) => [name, { meta: { name, description: entry.summary } }] as const,
  );
  const text = await renderUsage({
    meta: { name: `latchgate ${command.meta.name}`, description: command.meta.description },
    args: cittyArgs(command),
    ...(subCommands.length === 0 ? {} : { subCommands: Object.fromEntries(subCommands) }),
  });
  const full = command.rest === null ? text : `${text}\n  ${command.rest}\n`;
  return hasColour(1) ? full : stripVTControlCharacters(full);
}
