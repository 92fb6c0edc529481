/**
 * Writes docs/evidence-entries.schema.json and the table of entries in docs/evidence-format.md from the closed schemas
 * of src/ledger/entry/types.ts. With --check it only compares.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Shape } from "../src/ledger/entry/schema.ts";
import { BODIES, PAYLOADS } from "../src/ledger/entry/types.ts";

const ROOT = join(import.meta.dir, "..");
const SCHEMA = join(ROOT, "docs/evidence-entries.schema.json");
const PAGE = join(ROOT, "docs/evidence-format.md");
const START = "<!-- entries: written by scripts/build-evidence-format.ts -->\n";
const END = "<!-- end of entries -->\n";

/** The closed payload of every entry type as JSON Schema 2020-12, by type. Throws when a schema has no shape. */
export function entrySchema(): { readonly $defs: Readonly<Record<string, Shape>> } & Shape {
  const $defs = Object.fromEntries(
    [...PAYLOADS].map(([type, schema]) => {
      const shape = schema.shape ?? {};
      requireShape(shape, type);
      return [type, shape];
    }),
  );
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Payloads of LatchGate entries, version 1",
    description:
      "Written by scripts/build-evidence-format.ts. Lengths are UTF-16 code units; see docs/evidence-format.md.",
    anyOf: Object.keys($defs).map((type) => ({ $ref: `#/$defs/${type}` })),
    $defs,
  };
}

function requireShape(shape: Shape, at: string): void {
  if (Object.keys(shape).length === 0)
    throw new TypeError(`${at}: a schema without a shape; make it with the functions of entry/schema.ts`);
  for (const [name, inner] of Object.entries((shape.properties ?? {}) as Record<string, Shape>))
    requireShape(inner, `${at}.${name}`);
  if (shape.items !== undefined) requireShape(shape.items as Shape, `${at}[]`);
  for (const inner of (shape.anyOf ?? []) as readonly Shape[]) requireShape(inner, at);
}

/** A shape in a few words. */
function words(shape: Shape): string {
  if (shape.const !== undefined) return `\`${shape.const}\``;
  if (Array.isArray(shape.enum)) return shape.enum.map((value) => `\`${value}\``).join(" or ");
  if (Array.isArray(shape.anyOf)) return (shape.anyOf as readonly Shape[]).map(words).join(" or ");
  if (typeof shape.description === "string") return shape.description;
  if (shape.type === "string") return `text up to ${shape.maxLength}`;
  if (shape.type === "array") return `list, at most ${shape.maxItems}, of ${words(shape.items as Shape)}`;
  if (shape.type !== "object") return String(shape.type);
  const members = Object.entries(shape.properties as Record<string, Shape>);
  return `{ ${members.map(([name, inner]) => `${name}: ${words(inner)}`).join("; ")} }`;
}

/** The comments on members in the source, by `type.member`. */
function remarks(): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  let type = "";
  let remark: string | null = null;
  for (const line of readFileSync(join(ROOT, "src/ledger/entry/types.ts"), "utf8").split("\n")) {
    type = /^ {2}"?([a-z._]+)"?: closed\(/.exec(line)?.[1] ?? type;
    const member = /^ {4}([a-z_]+):/.exec(line)?.[1];
    if (member !== undefined && remark !== null) found.set(`${type}.${member}`, remark);
    remark = /^ {4}\/\*\* (.*) \*\/$/.exec(line)?.[1] ?? null;
  }
  return found;
}

function entryTables(): string {
  const notes = remarks();
  const sections = Object.entries(BODIES).map(([type, body]) => {
    const rows = Object.entries(body.shape?.properties as Record<string, Shape>).map(
      ([name, shape]) => `| \`${name}\` | ${words(shape)} | ${notes.get(`${type}.${name}`) ?? ""} |`,
    );
    return [`### \`${type}\``, "", "| Member | Value | |", "|---|---|---|", ...rows, ""].join("\n");
  });
  return `${START}\n${sections.join("\n")}\n${END}`;
}

/** Both files as they should be, by path. */
export function evidenceFormat(): ReadonlyMap<string, string> {
  const page = readFileSync(PAGE, "utf8");
  const [from, to] = [page.indexOf(START), page.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${PAGE} has no place for the entries`);
  return new Map([
    [SCHEMA, `${JSON.stringify(entrySchema(), null, 2)}\n`],
    [PAGE, page.slice(0, from) + entryTables() + page.slice(to + END.length)],
  ]);
}

if (import.meta.main) {
  for (const [file, text] of evidenceFormat()) {
    if (!process.argv.includes("--check")) writeFileSync(file, text);
    else if (readFileSync(file, "utf8") !== text) {
      console.error(`${file} is out of date; run bun scripts/build-evidence-format.ts`);
      process.exitCode = 1;
    }
  }
}
