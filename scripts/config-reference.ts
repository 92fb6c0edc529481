/** Writes the tables of docs/configuration.md from the schema: every key, its default, its variable, its meaning. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { configSchema } from "../src/config/schema.ts";

const PAGE = join(import.meta.dir, "../docs/configuration.md");
const BEGIN = "<!-- tables: written by scripts/config-reference.ts -->";
const END = "<!-- end of tables -->";

interface Unwrapped {
  readonly inner: z.core.$ZodType;
  /** As it would be written in the file; null without one. */
  readonly fallback: string | null;
  readonly optional: boolean;
}

function unwrap(type: z.core.$ZodType): Unwrapped {
  let inner = type;
  let fallback: string | null = null;
  let optional = false;
  for (;;) {
    if (inner instanceof z.ZodDefault) fallback = JSON.stringify(inner.def.defaultValue);
    if (inner instanceof z.ZodOptional) optional = true;
    if (inner instanceof z.ZodPrefault || inner instanceof z.ZodDefault || inner instanceof z.ZodOptional)
      inner = inner.unwrap();
    else return { inner, fallback, optional };
  }
}

/** The description, which zod keeps on the wrapper that it was given to. */
function meaning(type: z.core.$ZodType): string {
  return (type instanceof z.ZodType ? type.description : undefined) ?? "";
}

const scalar = (type: z.core.$ZodType) =>
  type instanceof z.ZodString || type instanceof z.ZodNumber || type instanceof z.ZodBoolean;

const HEAD = "| Key | Default | Variable | Meaning |\n|---|---|---|---|";

/** One section for a table of the file, then those for the tables below it. */
function sections(title: string, path: readonly string[], schema: z.ZodObject, intro: string): string[] {
  const rows: string[] = [];
  const below: string[] = [];
  for (const [key, member] of Object.entries(schema.shape)) {
    const { inner, fallback, optional } = unwrap(member);
    const here = [...path, key];
    if (inner instanceof z.ZodObject)
      below.push(...sections(`[${here.join(".")}]`, here, inner, meaning(member)));
    else if (inner instanceof z.ZodRecord && inner.valueType instanceof z.ZodObject)
      below.push(
        ...sections(
          `[${here.join(".")}.<${key === "principals" ? "uid" : "id"}>]`,
          [],
          inner.valueType,
          meaning(member),
        ),
      );
    else if (inner instanceof z.ZodArray && inner.element instanceof z.ZodObject)
      below.push(...sections(`[[${here.join(".")}]]`, [], inner.element, meaning(member)));
    else {
      const named = path.length > 0 || schema === configSchema;
      const variable = named && scalar(inner) ? `\`LATCHGATE_${here.join("_").toUpperCase()}\`` : "";
      const value = fallback === null ? (optional ? "" : "required") : `\`${fallback}\``;
      rows.push(`| \`${key}\` | ${value} | ${variable} | ${meaning(member)} |`);
    }
  }
  const own =
    rows.length === 0
      ? []
      : [`## ${title}\n\n${intro === "" ? "" : `${intro}\n\n`}${HEAD}\n${rows.join("\n")}`];
  return [...own, ...below];
}

/** The page with its tables as the schema has them. */
export function currentPage(page: string): string {
  const [start, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (start < 0 || end < start) throw new Error(`${PAGE} has lost its marks`);
  const tables = sections("Top level", [], configSchema, "").join("\n\n");
  return `${page.slice(0, start)}${BEGIN}\n\n${tables}\n\n${page.slice(end)}`;
}

if (import.meta.main) writeFileSync(PAGE, currentPage(readFileSync(PAGE, "utf8")));
