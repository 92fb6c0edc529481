import { didYouMean } from "../core/suggest.ts";
import type { Arg, Args, Command, ReadWords } from "./command.ts";
import { UsageError } from "./exit-code.ts";

/**
 * Reads the words after a command's name, strictly: an unknown or repeated flag, a missing value, a value for a
 * switch, and a positional too many are usage errors. `--` ends the flags. A value that starts with a hyphen must be
 * joined to its flag (`--reason=-x`), so that a forgotten value never swallows the next flag; a lone `-` is a value.
 */
export function readArgv(command: Command, words: readonly string[]): ReadWords {
  const values: Record<string, string | readonly string[] | boolean | undefined> = {};
  const lists: Record<string, string[]> = {};
  const positionals: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (word === "--") {
      positionals.push(...words.slice(i + 1));
      break;
    }
    if (!word.startsWith("-") || word === "-") {
      positionals.push(word);
      continue;
    }
    const split = word.indexOf("=");
    const shown = split < 0 ? word : word.slice(0, split);
    const joined = split < 0 ? undefined : word.slice(split + 1);
    const [name, arg] = flagOf(command, shown);
    if (name in values && arg.repeatable !== true) throw new UsageError(`${shown} is given twice`);
    if (arg.type === "boolean") {
      if (joined !== undefined) throw new UsageError(`${shown} takes no value`);
      values[name] = true;
      continue;
    }
    let value = joined ?? "";
    if (joined === undefined && arg.optionalValue !== true) {
      const next = words[i + 1];
      if (next === undefined || (next.startsWith("-") && next !== "-"))
        throw new UsageError(`${shown} needs a value`, `write it as ${shown}=${arg.valueHint ?? "VALUE"}`);
      value = next;
      i++;
    }
    if (arg.repeatable === true) {
      const list = lists[name] ?? [];
      lists[name] = list;
      list.push(value);
      values[name] = list;
    } else values[name] = value;
  }
  for (const [name, arg] of Object.entries(command.args)) {
    if (arg.type === "positional") values[name] = positionals.shift();
    else if (arg.type === "boolean") values[name] ??= false;
    else if (arg.repeatable === true) values[name] ??= [];
    const required = arg.type === "positional" ? arg.required !== false : arg.required === true;
    if (required && values[name] === undefined)
      throw new UsageError(
        `${arg.type === "positional" ? name.toUpperCase() : `--${name}`} is missing`,
        help(command),
      );
  }
  const extra = positionals[0];
  if (extra !== undefined && command.rest === null)
    throw new UsageError(`unexpected argument ${quoted(extra)}`, help(command));
  return { args: values, rest: positionals };
}

function flagOf(command: Command, shown: string): readonly [string, Arg] {
  for (const [name, arg] of Object.entries<Args[string]>(command.args))
    if (arg.type !== "positional" && (shown === `--${name}` || shown === `-${arg.alias}`)) return [name, arg];
  const near = didYouMean(
    shown.replace(/^-+/, ""),
    Object.keys(command.args).filter((name) => command.args[name]?.type !== "positional"),
  );
  throw new UsageError(
    `unknown flag ${quoted(shown)}`,
    near === undefined ? help(command) : `did you mean --${near}?`,
  );
}

export function help(command: Command): string {
  return `see latchgate ${command.meta.name} --help`;
}

export function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}
