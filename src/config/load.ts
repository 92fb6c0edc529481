import { readFileSync } from "node:fs";
import { parse } from "smol-toml";
import * as z from "zod";
import { LatchGateError, messageOf } from "../core/errors.ts";
import { explainIssues } from "../core/strict-schema.ts";
import { type Config, configSchema } from "./schema.ts";

/** `config_unreadable`, `config_syntax`, `config_invalid`. */
export class ConfigError extends LatchGateError {}

type Tree = { [key: string]: unknown };

/**
 * The one loader: environment over file over defaults. A scalar key `a.b_c` is overridden by `LATCHGATE_A_B_C`.
 * Unknown keys are errors that name the nearest known one. Throws {@link ConfigError}.
 */
export function loadConfig(path: string, env: Readonly<Record<string, string | undefined>>): Config {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new ConfigError("config_unreadable", `cannot read ${path}`, { cause });
  }
  let tree: Tree;
  try {
    tree = parse(text) as Tree;
  } catch (cause) {
    throw new ConfigError("config_syntax", `${path}: ${messageOf(cause).split("\n")[0]}`, { cause });
  }
  applyEnvironment(tree, configSchema, [], env);
  const read = configSchema.safeParse(tree);
  if (!read.success)
    throw new ConfigError(
      "config_invalid",
      `${path}: ${explainIssues(configSchema, read.error.issues).join("; ")}`,
      { hint: "docs/configuration.md lists every key" },
    );
  return read.data;
}

function applyEnvironment(
  tree: Tree,
  schema: z.ZodObject,
  path: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): void {
  for (const [key, member] of Object.entries(schema.shape)) {
    let inner = member as z.core.$ZodType;
    while (inner instanceof z.ZodPrefault || inner instanceof z.ZodDefault || inner instanceof z.ZodOptional)
      inner = inner.unwrap() as z.core.$ZodType;
    if (inner instanceof z.ZodObject) {
      const branch = tree[key];
      if (branch !== undefined && (typeof branch !== "object" || branch === null)) continue; // refused by the schema
      const below = (branch ?? {}) as Tree;
      applyEnvironment(below, inner, [...path, key], env);
      if (branch === undefined && Object.keys(below).length > 0) tree[key] = below;
      continue;
    }
    const variable = ["LATCHGATE", ...path, key].join("_").toUpperCase();
    const value = env[variable];
    if (value === undefined || value === "") continue;
    if (inner instanceof z.ZodString) tree[key] = value;
    else if (inner instanceof z.ZodNumber) tree[key] = Number(value);
    else if (inner instanceof z.ZodBoolean)
      tree[key] = value === "true" ? true : value === "false" ? false : value;
  }
}
