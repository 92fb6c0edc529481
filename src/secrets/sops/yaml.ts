import { damaged } from "../errors.ts";
import type { SopsFormat } from "./format.ts";
import { resolvePlain } from "./go-scalar.ts";
import {
  type MapNode,
  type Node,
  type Pair,
  type Plain,
  pairOf,
  type SopsText,
  type Splice,
} from "./tree.ts";
import { METADATA, readYamlFile } from "./yaml-read.ts";

const INDENT = "    ";

/** YAML as `sops` writes it. */
export const yaml: SopsFormat = {
  name: "yaml",

  read: readYamlFile,

  scalar: (text) => (text === "" ? '""' : scalarText(text)),

  insert(file, path, value): Splice {
    const root = rootOf(file);
    let map = root;
    let rest = path;
    for (;;) {
      const pair = pairOf(map, rest[0] ?? "");
      if (pair === undefined) break;
      const below = pair.value;
      if (below.kind === "scalar" && below.type === "null" && below.start === below.end) {
        // What a map is after its last value was removed, but for comments.
        const at = lineAfter(file.text, pair.start);
        const indent = `${" ".repeat(columnOf(file.text, pair.start))}${INDENT}`;
        return { start: at, end: at, text: nested(rest.slice(1), value, indent) };
      }
      if (below.kind !== "map") throw damaged(`there is no map at ${JSON.stringify(rest[0])}`);
      map = below;
      rest = rest.slice(1);
    }
    if (map.flow && map.items.length > 0) return insertFlow(map, rest, value);
    const column = map.flow
      ? `${lineIndent(file.text, map.start)}${INDENT}`
      : " ".repeat(columnOf(file.text, firstKey(file, map)));
    const lines = nested(rest, value, column);
    if (map.flow) return { start: map.start, end: map.end, text: `\n${lines.trimEnd()}` };
    const last = map.items.findLast((item): item is Pair => item.kind === "pair");
    if (last === undefined) {
      const at = lineStart(file.text, firstKey(file, map));
      return { start: at, end: at, text: lines };
    }
    const at = lineAfter(file.text, last.end);
    const fresh = at > 0 && file.text[at - 1] !== "\n" ? `\n${lines.trimEnd()}` : lines;
    return { start: at, end: at, text: fresh };
  },

  remove(file, path): Splice | null {
    const steps: { readonly map: MapNode; readonly pair: Pair }[] = [];
    let map: Node | undefined = rootOf(file);
    for (const key of path) {
      const pair: Pair | undefined = map?.kind === "map" ? pairOf(map, key) : undefined;
      if (map?.kind !== "map" || pair === undefined) return null;
      steps.push({ map, pair });
      map = pair.value;
    }
    // A map that would be left empty goes too, up to the root; one with comments stays, for them.
    let at = steps.length - 1;
    while (at > 0 && steps[at]?.map.items.length === 1) at--;
    const step = steps[at];
    if (step === undefined) return null;
    if (step.map.flow) return removeFlow(step.map, step.pair);
    const { start, end } = step.pair;
    return { start: lineStart(file.text, start), end: lineAfter(file.text, end), text: "" };
  },

  describe: (file, metadata) =>
    file.metadataAt.map(({ start, end }) => ({
      start,
      end,
      text: metadataText(metadata).trimEnd() + (file.text[end - 1] === "\n" ? "\n" : ""),
    })),

  empty: (metadata) => metadataText(metadata),
};

function rootOf(file: SopsText): MapNode {
  const root = file.documents[0];
  if (root === undefined) throw damaged("it has no document");
  return root;
}

/** Where the keys of a block map stand; the root's metadata counts when there is nothing else. */
function firstKey(file: SopsText, map: MapNode): number {
  const first = map.items.find((item): item is Pair => item.kind === "pair");
  return first?.start ?? (map === file.documents[0] ? (file.metadataAt[0]?.start ?? map.start) : map.start);
}

function lineStart(text: string, at: number): number {
  return text.lastIndexOf("\n", at - 1) + 1;
}

/** The start of the line after the one that a value ends in; block scalars end with their line. */
function lineAfter(text: string, end: number): number {
  if (text[end - 1] === "\n") return end;
  const next = text.indexOf("\n", end);
  return next < 0 ? text.length : next + 1;
}

function columnOf(text: string, at: number): number {
  return at - lineStart(text, at);
}

function lineIndent(text: string, at: number): string {
  return /^ */.exec(text.slice(lineStart(text, at)))?.[0] ?? "";
}

function nested(path: readonly string[], value: string, indent: string): string {
  const [key = "", ...rest] = path;
  if (rest.length === 0) return `${indent}${scalarText(key)}: ${value}\n`;
  return `${indent}${scalarText(key)}:\n${nested(rest, value, indent + INDENT)}`;
}

function insertFlow(map: MapNode, path: readonly string[], value: string): Splice {
  const quoted = JSON.stringify(value);
  const inner = path.reduceRight((below, key) => `{${JSON.stringify(key)}: ${below}}`, quoted).slice(1, -1);
  return { start: map.end - 1, end: map.end - 1, text: `, ${inner}` };
}

function removeFlow(map: MapNode, pair: Pair): Splice {
  const pairs = map.items.filter((item): item is Pair => item.kind === "pair");
  const at = pairs.indexOf(pair);
  const next = pairs[at + 1];
  if (next !== undefined) return { start: pair.start, end: next.start, text: "" };
  return { start: pairs[at - 1]?.end ?? map.start + 1, end: map.end - 1, text: "" };
}

/** A string as a plain scalar where every reader takes it for that very string; else in double quotes. */
function scalarText(text: string): string {
  const plain =
    /^[A-Za-z0-9_][^\s#"'`{}&*!|>%@\\]*$/.test(text) && !/:$|: /.test(text) && /^[\x21-\x7e]*$/.test(text);
  const flow = looksFlow(text);
  return plain && !flow && resolvePlain(text)?.type === "str" && !/^(?:y|n|yes|no|on|off)$/i.test(text)
    ? text
    : JSON.stringify(text);
}

function looksFlow(text: string): boolean {
  return /[[\],]/.test(text) && !/^ENC\[[^\]]*\]$/.test(text);
}

function metadataText(metadata: { readonly [name: string]: Plain }): string {
  return `${METADATA}:\n${tableLines(metadata, INDENT)}`;
}

function tableLines(table: { readonly [name: string]: Plain }, indent: string): string {
  return Object.entries(table)
    .map(([key, value]) => `${indent}${scalarText(key)}:${valueLines(value, indent)}`)
    .join("");
}

function valueLines(value: Plain, indent: string): string {
  if (typeof value === "string") return ` ${stringLines(value, indent)}`;
  if (typeof value !== "object" || value === null) return ` ${String(value)}\n`;
  const deeper = indent + INDENT;
  if (Array.isArray(value)) {
    if (value.length === 0) return " []\n";
    return `\n${value
      .map((item: Plain) => {
        if (typeof item !== "object" || item === null || Array.isArray(item))
          return `${deeper}-${valueLines(item, deeper)}`;
        const lines = tableLines(item as { readonly [name: string]: Plain }, `${deeper}  `);
        return `${deeper}- ${lines.slice(deeper.length + 2)}`;
      })
      .join("")}`;
  }
  const table = value as { readonly [name: string]: Plain };
  return Object.keys(table).length === 0 ? " {}\n" : `\n${tableLines(table, deeper)}`;
}

function stringLines(text: string, indent: string): string {
  if (!/^(?:[\x21-\x7e][\x20-\x7e]*\n)+$/.test(text)) return `${scalarText(text)}\n`;
  const lines = text.slice(0, -1).split("\n");
  return `|\n${lines.map((line) => `${indent}  ${line}\n`).join("")}`;
}
