import { damaged, SecretsError } from "../errors.ts";
import type { SopsFormat } from "./format.ts";
import type { Comment, Pair, Plain, SopsText, Splice } from "./tree.ts";

const PREFIX = "sops_";
const MAP = "__map_";
const LIST = "__list_";

/**
 * `NAME=value` lines as `sops` writes them: no quoting, a newline is `\n`. Flat, so it holds no tenants. Metadata is
 * lines whose name starts with `sops_`, its tree flattened into names.
 */
export const dotenv: SopsFormat = {
  name: "dotenv",

  read(text): SopsText {
    const items: (Pair | Comment)[] = [];
    const metadataLines: [string, string][] = [];
    let metadataAt: { start: number; end: number } | undefined;
    const names = new Set<string>();
    for (const { line, start, end } of linesOf(text)) {
      if (line === "") continue;
      if (line.startsWith("#")) {
        items.push({ kind: "comment", text: line.slice(1) });
        continue;
      }
      const equals = line.indexOf("=");
      if (equals < 0) throw damaged("a line without an equals sign");
      const key = line.slice(0, equals);
      if (names.has(key)) throw damaged("it has a name twice");
      names.add(key);
      const value = line.slice(equals + 1).replaceAll("\\n", "\n");
      if (key.startsWith(PREFIX)) {
        if (metadataAt !== undefined && metadataAt.end !== start)
          throw damaged("its metadata is not in one place");
        metadataAt = { start: metadataAt?.start ?? start, end };
        metadataLines.push([key.slice(PREFIX.length), value]);
        continue;
      }
      const at = start + equals + 1;
      items.push({
        kind: "pair",
        key,
        start,
        end,
        value: { kind: "scalar", type: "str", text: value, start: at, end: start + line.length },
      });
    }
    return {
      text,
      documents: [{ kind: "map", flow: false, items, start: 0, end: text.length }],
      metadata: metadataAt === undefined ? null : unflatten(metadataLines),
      metadataAt: metadataAt === undefined ? [] : [metadataAt],
    };
  },

  scalar: (text) => text.replaceAll("\n", "\\n"),

  insert(file, path, value): Splice {
    const [key = "", second] = path;
    if (second !== undefined)
      throw new SecretsError(
        "secrets_unsupported",
        "a dotenv file is flat: it holds secrets that all share",
        {
          hint: "use --shared, or a yaml or json file",
        },
      );
    const last = file.documents[0]?.items.findLast((item): item is Pair => item.kind === "pair");
    const at = last?.end ?? file.metadataAt[0]?.start ?? 0;
    const newline = at > 0 && file.text[at - 1] !== "\n" ? "\n" : "";
    return { start: at, end: at, text: `${newline}${key}=${value}\n` };
  },

  remove(file, path): Splice | null {
    const [key, second] = path;
    const pair = file.documents[0]?.items.find(
      (item): item is Pair => item.kind === "pair" && item.key === key,
    );
    return pair === undefined || second !== undefined ? null : { start: pair.start, end: pair.end, text: "" };
  },

  describe: (file, metadata) =>
    file.metadataAt.map(({ start, end }) => ({ start, end, text: metadataText(metadata) })),

  empty: (metadata) => metadataText(metadata),
};

function* linesOf(text: string): Generator<{ line: string; start: number; end: number }> {
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf("\n", start);
    const end = newline < 0 ? text.length : newline + 1;
    yield { line: text.slice(start, newline < 0 ? end : newline), start, end };
    start = end;
  }
}

function metadataText(metadata: { readonly [name: string]: Plain }): string {
  return Object.entries(metadata)
    .flatMap(([key, value]) => flatten(key, value))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${PREFIX}${key}=${value.replaceAll("\n", "\\n")}\n`)
    .join("");
}

function flatten(path: string, value: Plain): [string, string][] {
  if (typeof value !== "object" || value === null) return value === null ? [] : [[path, String(value)]];
  if (Array.isArray(value))
    return value.flatMap((item: Plain, index) => flatten(`${path}${LIST}${index}`, item));
  return Object.entries(value).flatMap(([key, below]) => flatten(`${path}${MAP}${key}`, below as Plain));
}

interface Growing {
  text?: string;
  readonly members: Map<string, Growing>;
}

/** The tree that the names of flattened lines tell; each part after a separator is a key or a list index. */
function unflatten(lines: readonly [string, string][]): Plain {
  const root: Growing = { members: new Map() };
  for (const [path, text] of lines) {
    let at = root;
    for (const part of path.split(new RegExp(`(?=${MAP}|${LIST})`))) {
      const next: Growing = at.members.get(part) ?? { members: new Map() };
      at.members.set(part, next);
      at = next;
    }
    at.text = text;
  }
  return grown(root);
}

function grown({ text, members }: Growing): Plain {
  if (text !== undefined) {
    if (members.size > 0) throw damaged("its metadata contradicts itself");
    return text;
  }
  const entries = [...members];
  if (!entries.every(([part]) => part.startsWith(LIST)))
    return Object.fromEntries(
      entries.map(([part, below]) => [part.startsWith(MAP) ? part.slice(MAP.length) : part, grown(below)]),
    );
  // In order, without gaps: a list as `flatten` writes it.
  const byIndex = new Map(entries.map(([part, below]) => [part.slice(LIST.length), below]));
  return entries.map((_, index) => {
    const below = byIndex.get(String(index));
    if (below === undefined) throw damaged("its metadata has a list with gaps");
    return grown(below);
  });
}
