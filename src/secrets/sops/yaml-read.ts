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
import { resolvePlain } from "./go-scalar.ts";
import {
  type Comment,
  type MapNode,
  type Node,
  type Pair,
  type Plain,
  pairOf,
  type SopsText,
} from "./tree.ts";

const DEEPEST = 32;

/** The key that a file's own metadata stands under. */
export const METADATA = "sops";

/**
 * Reads YAML as `sops` writes it, with go-yaml's view of plain scalars. Anchors, aliases, tags and directives, which
 * `sops` writes never, are refused. Throws `secrets_damaged`.
 */
export function readYamlFile(text: string): SopsText {
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
  if (!Array.isArray(parsed) || /^%/m.test(text)) throw damaged("it is no yaml of the kind that sops writes");
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
