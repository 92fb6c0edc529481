/** Offsets into the text of the file. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** What go-yaml, or Go's JSON reader, makes of a scalar; decides how an unencrypted one enters the MAC. */
export type ScalarType = "str" | "int" | "float" | "bool" | "time" | "null";

export interface Scalar extends Range {
  readonly kind: "scalar";
  readonly type: ScalarType;
  /** The value as SOPS puts it into the MAC: decimal, `True`, RFC 3339. */
  readonly text: string;
}

/** One comment line without its `#`. */
export interface Comment {
  readonly kind: "comment";
  readonly text: string;
}

export interface Pair extends Range {
  readonly kind: "pair";
  readonly key: string;
  readonly value: Node;
}

export interface MapNode extends Range {
  readonly kind: "map";
  /** Written in braces. */
  readonly flow: boolean;
  readonly items: readonly (Pair | Comment)[];
}

export interface ListNode extends Range {
  readonly kind: "list";
  readonly items: readonly (Node | Comment)[];
}

export type Node = Scalar | MapNode | ListNode;

/** A value of the file's own metadata, as its format gives it. */
export type Plain = null | boolean | number | string | readonly Plain[] | { readonly [name: string]: Plain };

/** A file read: its data without the metadata, document by document, and the metadata of the first one. */
export interface SopsText {
  readonly text: string;
  readonly documents: readonly MapNode[];
  readonly metadata: Plain;
  /** Where metadata stands in the text; one per document that has it. */
  readonly metadataAt: readonly Range[];
}

/** Replaces a range of the text. */
export interface Splice extends Range {
  readonly text: string;
}

/** Applies changes that don't overlap. */
export function splice(text: string, changes: readonly Splice[]): string {
  let out = text;
  for (const { start, end, text: fresh } of [...changes].sort((a, b) => b.start - a.start || b.end - a.end))
    out = out.slice(0, start) + fresh + out.slice(end);
  return out;
}

export function pairOf(map: MapNode, key: string): Pair | undefined {
  return map.items.find((item): item is Pair => item.kind === "pair" && item.key === key);
}
