import {
  isMap,
  isPair,
  isScalar,
  isSeq,
  parseAllDocuments,
  Scalar,
  visit,
  type Node as YamlNode,
} from "yaml";
import { damaged } from "../errors.ts";
import type { SopsFormat } from "./format.ts";
import { resolvePlain } from "./go-scalar.ts";
import type { Comment, MapNode, Node, Pair, Plain, SopsText, Splice } from "./tree.ts";
import { pairOf } from "./tree.ts";

const DEEPEST = 32;
const METADATA = "sops";
const INDENT = "    ";

/**
 * YAML as `sops` writes it, with go-yaml's view of plain scalars. Anchors, aliases, tags and directives, which `sops`
 * writes never, are refused.
 */
export const yaml: SopsFormat = {
  name: "yaml",

  read(text): SopsText {
    let parsed: ReturnType<typeof parseAllDocuments>;
    try {
      // Failsafe: every scalar stays the text that it is, and `resolvePlain` says what Go takes it for.
      // Silent: warnings would print source.
      parsed = parseAllDocuments(text, {
        version: "1.2",
        schema: "failsafe",
        strict: true,
        uniqueKeys: true,
        merge: false,
        resolveKnownTags: false,
        prettyErrors: false,
        logLevel: "silent",
      });
    } catch {
      throw damaged("it is no yaml"); // deep nesting ends in a RangeError
    }
    if (!Array.isArray(parsed) || /^%/m.test(text))
      throw damaged("it is no yaml of the kind that sops writes");
    const documents: MapNode[] = [];
    const metadataAt: { start: number; end: number }[] = [];
    let metadata: Plain = null;
    for (const [index, document] of parsed.entries()) {
      if (document.errors.length > 0 || document.warnings.length > 0) throw damaged("it is no valid yaml");
      refuseExtras(document.contents);
      if (!isMap(document.contents)) throw damaged("a document is no map");
      const map = mapOf(document.contents, [document.commentBefore], [document.comment]);
      const own = pairOf(map, METADATA);
      if (own !== undefined) {
        if (index === 0) metadata = plainOf(own.value);
        metadataAt.push(own);
      }
      documents.push({ ...map, items: map.items.filter((item) => item !== own) });
    }
    return { text, documents, metadata, metadataAt };
  },

  scalar: (text) => (text === "" ? '""' : scalarText(text)),

  insert(file, path, value): Splice {
    const root = rootOf(file);
    let map = root;
    let rest = path;
    for (;;) {
      const below = pairOf(map, rest[0] ?? "")?.value;
      if (below === undefined) break;
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
    let map: MapNode = rootOf(file);
    for (const key of path.slice(0, -1)) {
      const below = pairOf(map, key)?.value;
      if (below?.kind !== "map") return null;
      map = below;
    }
    const pair = pairOf(map, path.at(-1) ?? "");
    if (pair === undefined) return null;
    const pairs = map.items.filter((item): item is Pair => item.kind === "pair");
    if (map.flow) return removeFlow(map, pairs, pair);
    // An empty block map would be null; the root keeps its metadata.
    if (pairs.length === 1 && map !== file.documents[0])
      return { start: lineStart(file.text, pair.start), end: lineAfter(file.text, pair.end), text: "" };
    return { start: lineStart(file.text, pair.start), end: lineAfter(file.text, pair.end), text: "" };
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

function removeFlow(map: MapNode, pairs: readonly Pair[], pair: Pair): Splice {
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

function refuseExtras(root: YamlNode | null): void {
  visit(root, {
    Alias: () => {
      throw damaged("it has an alias");
    },
    Node(_key, node, path) {
      if (path.length > 2 * DEEPEST) throw damaged(`it is nested deeper than ${DEEPEST}`);
      if ("anchor" in node && node.anchor !== undefined) throw damaged("it has an anchor");
      const tag = node.tag;
      if (tag !== undefined && !(isMap(node) && tag === TAGS.map) && !(isSeq(node) && tag === TAGS.seq))
        throw damaged("it has a tag");
      if (isScalar(node) && typeof node.value === "string" && !node.value.isWellFormed())
        throw damaged("it has a lone surrogate");
    },
  });
}

const TAGS = { map: "tag:yaml.org,2002:map", seq: "tag:yaml.org,2002:seq" };

type Lines = readonly (string | null | undefined)[];

function commentsOf(...blocks: Lines): Comment[] {
  return blocks.flatMap((block) =>
    (block ?? "")
      .split("\n")
      .filter((line) => line !== "")
      .map((text) => ({ kind: "comment" as const, text })),
  );
}

function nodeOf(node: unknown): Node {
  if (isMap(node)) return mapOf(node, [], []);
  if (isSeq(node)) {
    const items = node.items.flatMap((item) => {
      const { commentBefore, comment } = item as YamlNode;
      const inline = isScalar(item) ? comment : null;
      return [...commentsOf(commentBefore, inline), nodeOf(item)];
    });
    return {
      kind: "list",
      ...rangeOf(node),
      items: [...commentsOf(node.commentBefore), ...items, ...commentsOf(node.comment)],
    };
  }
  if (!isScalar(node)) throw damaged("it has a value of no known kind");
  const text = String(node.value ?? "");
  const resolved = node.type === Scalar.PLAIN ? resolvePlain(text) : { type: "str" as const, text };
  if (resolved === null) throw damaged("a number that must be quoted");
  return { kind: "scalar", ...rangeOf(node), ...resolved };
}

function mapOf(map: YamlNode, before: Lines, after: Lines): MapNode {
  if (!isMap(map)) throw damaged("a document is no map");
  const items = map.items.flatMap((pair): (Pair | Comment)[] => {
    if (!isPair(pair) || !isScalar(pair.key)) throw damaged("it has a key that is no text");
    const { key } = pair;
    const name = String(key.value ?? "");
    if (key.type === Scalar.PLAIN && resolvePlain(name)?.type !== "str")
      throw damaged("it has a key that is no text");
    const value = pair.value as YamlNode;
    const own = isScalar(value) ? commentsOf(value.commentBefore, value.comment) : [];
    const node = nodeOf(value);
    const start = rangeOf(key).start;
    return [
      ...commentsOf(key.commentBefore, key.comment),
      ...own,
      { kind: "pair", key: name, value: node, start, end: node.end },
    ];
  });
  return {
    kind: "map",
    ...rangeOf(map),
    flow: map.flow === true,
    items: [...commentsOf(...before, map.commentBefore), ...items, ...commentsOf(map.comment, ...after)],
  };
}

function rangeOf(node: { readonly range?: readonly [number, number, number] | null | undefined }): {
  start: number;
  end: number;
} {
  const range = node.range;
  if (range === null || range === undefined) throw damaged("it is no yaml");
  return { start: range[0], end: range[1] };
}

function plainOf(node: Node): Plain {
  if (node.kind === "list")
    return node.items.flatMap((item) => (item.kind === "comment" ? [] : [plainOf(item)]));
  if (node.kind === "map")
    return Object.fromEntries(
      node.items.flatMap((item) =>
        item.kind === "comment" ? [] : [[item.key, plainOf(item.value)] as const],
      ),
    );
  switch (node.type) {
    case "null":
      return null;
    case "bool":
      return node.text === "True";
    case "int":
    case "float":
      return Number(node.text);
    default:
      return node.text;
  }
}
