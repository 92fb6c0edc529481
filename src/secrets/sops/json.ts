import { damaged } from "../errors.ts";
import type { SopsFormat } from "./format.ts";
import { readOrderedJson } from "./ordered-json.ts";
import { type MapNode, type Pair, type Plain, pairOf, type SopsText, type Splice } from "./tree.ts";

const METADATA = "sops";

/** JSON as `sops` writes it. The order of members counts, so integer-like names keep their place. */
export const json: SopsFormat = {
  name: "json",

  read(text): SopsText {
    const root = readOrderedJson(text);
    const own = pairOf(root, METADATA);
    const document: MapNode = { ...root, items: root.items.filter((item) => item !== own) };
    const metadata =
      own === undefined ? null : (JSON.parse(text.slice(own.value.start, own.value.end)) as Plain);
    return { text, documents: [document], metadata, metadataAt: own === undefined ? [] : [own] };
  },

  scalar: (text) => JSON.stringify(text),

  insert(file, path, value): Splice {
    let map = rootOf(file);
    let rest = path;
    for (;;) {
      const below = pairOf(map, rest[0] ?? "")?.value;
      if (below === undefined) break;
      if (below.kind !== "map") throw damaged(`there is no object at ${JSON.stringify(rest[0])}`);
      map = below;
      rest = rest.slice(1);
    }
    const [key = "", ...deeper] = rest;
    const inner = deeper.reduceRight(
      (below, name) => `{${JSON.stringify(name)}: ${below}}`,
      JSON.stringify(value),
    );
    const member = `${JSON.stringify(key)}: ${inner}`;
    const last = map.items.findLast((item): item is Pair => item.kind === "pair");
    if (last !== undefined)
      return { start: last.end, end: last.end, text: `,${blanksBefore(file.text, last.start)}${member}` };
    const own = map === file.documents[0] ? file.metadataAt[0] : undefined;
    if (own !== undefined)
      return { start: own.start, end: own.start, text: `${member},${blanksBefore(file.text, own.start)}` };
    return { start: map.start, end: map.end, text: `{${member}}` };
  },

  remove(file, path): Splice | null {
    let map = rootOf(file);
    for (const key of path.slice(0, -1)) {
      const below = pairOf(map, key)?.value;
      if (below?.kind !== "map") return null;
      map = below;
    }
    const pair = pairOf(map, path.at(-1) ?? "");
    if (pair === undefined) return null;
    // The metadata is a member like the others here: it may be the neighbour that takes or gives the comma.
    const own = map === file.documents[0] ? file.metadataAt : [];
    const members = [...map.items.filter((item): item is Pair => item.kind === "pair"), ...own].sort(
      (a, b) => a.start - b.start,
    );
    const at = members.indexOf(pair);
    const next = members[at + 1];
    if (next !== undefined) return { start: pair.start, end: next.start, text: "" };
    return { start: members[at - 1]?.end ?? map.start + 1, end: pair.end, text: "" };
  },

  describe: (file, metadata) =>
    file.metadataAt.map(({ start, end }) => ({ start, end, text: metadataText(metadata) })),

  empty: (metadata) => `{\n\t${metadataText(metadata)}\n}\n`,
};

function rootOf(file: SopsText): MapNode {
  const root = file.documents[0];
  if (root === undefined) throw damaged("it has no object");
  return root;
}

function blanksBefore(text: string, at: number): string {
  return /[\t\n\r ]*$/.exec(text.slice(0, at))?.[0] ?? "";
}

function metadataText(metadata: { readonly [name: string]: Plain }): string {
  return `"${METADATA}": ${JSON.stringify(metadata, null, "\t").replaceAll("\n", "\n\t")}`;
}
