import type { ArgsDef } from "citty";

/** Flags and positionals as citty describes them, see there; `--wait[=SECONDS]` needs `optionalValue`. */
export type Arg = {
  readonly type: "boolean" | "string" | "positional";
  readonly description: string;
  readonly valueHint?: string;
  /** One letter. */
  readonly alias?: string;
  /** Positionals are required unless this is false; flags are optional unless it is true. */
  readonly required?: boolean;
  /** A string flag that may stand without a value, and is then the empty text. */
  readonly optionalValue?: true;
  /** A string flag that may be given several times; its value is the list of them, empty when there is none. */
  readonly repeatable?: true;
};

export type Args = { readonly [name: string]: Arg };

type Value<A extends Arg> = A["type"] extends "boolean"
  ? boolean
  : A["repeatable"] extends true
    ? readonly string[]
    : A["required"] extends true
      ? string
      : A["type"] extends "positional"
        ? A["required"] extends false
          ? string | undefined
          : string
        : string | undefined;

export type Values<T extends Args> = { readonly [K in keyof T]: Value<T[K]> };

export interface Invocation<T extends Args> {
  readonly args: Values<T>;
  /** Positionals beyond the declared ones; empty unless the command declares `rest`. */
  readonly rest: readonly string[];
}

export interface CommandSpec<T extends Args> {
  readonly meta: { readonly name: string; readonly description: string };
  /** Every command takes `--json` as well, without declaring it. */
  readonly args?: T;
  /** Subcommands, where the command also does something by itself. */
  readonly also?: CommandTable;
  /** What further positionals are, for the usage text; without it they are refused. */
  readonly rest?: string;
  /**
   * Returns the exit code, and the process ends with it; or nothing, and the process ends when nothing keeps it.
   * What it throws is printed, see `printError`, and ends the process with `exitCodeFor`.
   */
  run(
    invocation: Invocation<T & typeof JSON_FLAG>,
  ): Promise<number> | Promise<number | undefined> | Promise<void> | number;
}

/** A command line as it was read, before a command gives its flags their types. */
export interface ReadWords {
  readonly args: Readonly<Record<string, string | readonly string[] | boolean | undefined>>;
  readonly rest: readonly string[];
}

/** A node of the command tree, its types checked and put away. */
export interface Command {
  readonly meta: { readonly name: string; readonly description: string };
  readonly args: Args;
  readonly rest: string | null;
  readonly subCommands: CommandTable | null;
  /** Subcommands of a command that also does something by itself. */
  readonly also: CommandTable | null;
  run(words: ReadWords): Promise<number> | Promise<number | undefined> | Promise<void> | number;
}

/** Subcommands by name. Each is loaded when it is run, so that no command pays for another's imports. */
export type CommandTable = {
  readonly [name: string]: {
    readonly summary: string;
    load(): Promise<{ readonly default: Command }> | { readonly default: Command };
  };
};

export const JSON_FLAG = {
  json: { type: "boolean", description: "Print JSON; errors as JSON on stderr" },
} as const satisfies Args;

/** For every command that looks for a project folder. */
export const DIR_FLAG = {
  dir: {
    type: "string",
    description: "Project folder, in place of the one found by walking up",
    valueHint: "PATH",
  },
} as const satisfies Args;

/** For every command that acts as an operator. */
export const OPERATOR_FLAGS = {
  ...DIR_FLAG,
  operator: { type: "string", description: "Operator to act as", valueHint: "ID" },
} as const satisfies Args;

export function defineCommand<const T extends Args = Args>(spec: CommandSpec<T>): Command {
  return {
    meta: spec.meta,
    args: { ...spec.args, ...JSON_FLAG },
    rest: spec.rest ?? null,
    subCommands: null,
    also: spec.also ?? null,
    // The values were read by `readArgv` against these same args, so they are of the types that T gives them.
    run: (words) => spec.run(words as Invocation<T & typeof JSON_FLAG>),
  };
}

/** A command that only holds others. */
export function defineGroup(meta: Command["meta"], subCommands: CommandTable): Command {
  return {
    meta,
    args: JSON_FLAG,
    rest: null,
    subCommands,
    also: null,
    run() {
      throw new TypeError(`${meta.name} is a group`);
    },
  };
}

/** The same, in citty's terms, to print its usage text. */
export function cittyArgs(command: Command): ArgsDef {
  const entries = Object.entries(command.args).map(([name, arg]) => [name, { ...arg }] as const);
  return Object.fromEntries(entries);
}
