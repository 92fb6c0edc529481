import { damaged } from "../errors.ts";
import { goFloat } from "./go-scalar.ts";
import type { ListNode, MapNode, Node, Pair, Scalar } from "./tree.ts";

const DEEPEST = 32;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const BLANK = /[\t\n\r ]*/y;

/**
 * Reads a JSON object (RFC 8259), keeping where everything stands and in which order: a JavaScript object would move
 * names that look like integers to the front, and doubles would lose the ends of long integers.
 * Duplicate members are refused. Throws `secrets_damaged`.
 */
export function readOrderedJson(text: string): MapNode {
  const reader = new Reader(text);
  const root = reader.node(0);
  if (root.kind !== "map" || !reader.atEnd()) throw damaged("it is no json object");
  return root;
}

class Reader {
  private at = 0;
  private readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  atEnd(): boolean {
    this.match(BLANK);
    return this.at === this.text.length;
  }

  node(depth: number): Node {
    if (depth > DEEPEST) throw damaged(`it is nested deeper than ${DEEPEST}`);
    this.match(BLANK);
    switch (this.text[this.at]) {
      case "{":
        return this.map(depth + 1);
      case "[":
        return this.list(depth + 1);
      case '"':
        return this.string();
      default:
        return this.word() ?? this.number();
    }
  }

  private map(depth: number): MapNode {
    const start = this.at++;
    const items: Pair[] = [];
    const names = new Set<string>();
    while (!this.closes("}", items.length)) {
      const key = this.string();
      if (names.has(key.text)) throw damaged("it has a member twice");
      names.add(key.text);
      this.take(":");
      const value = this.node(depth);
      items.push({ kind: "pair", key: key.text, value, start: key.start, end: value.end });
    }
    return { kind: "map", flow: true, items, start, end: this.at };
  }

  private list(depth: number): ListNode {
    const start = this.at++;
    const items: Node[] = [];
    while (!this.closes("]", items.length)) items.push(this.node(depth));
    return { kind: "list", items, start, end: this.at };
  }

  /** Steps over the closing mark, or over the comma that another item needs before it. */
  private closes(mark: string, before: number): boolean {
    this.match(BLANK);
    if (this.text[this.at] === mark) {
      this.at++;
      return true;
    }
    if (before > 0) this.take(",");
    this.match(BLANK);
    return false;
  }

  private take(mark: string): void {
    this.match(BLANK);
    if (this.text[this.at] !== mark) throw damaged("it is no valid json");
    this.at++;
  }

  private match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text);
    if (match !== null) this.at += match[0].length;
    return match;
  }

  private string(): Scalar {
    const start = this.at;
    const match = this.match(STRING);
    if (match === null) throw damaged("it is no valid json");
    const text = JSON.parse(match[0]) as string;
    if (!text.isWellFormed()) throw damaged("it has a lone surrogate");
    return { kind: "scalar", type: "str", text, start, end: this.at };
  }

  private word(): Scalar | null {
    const start = this.at;
    for (const [word, type, text] of WORDS) {
      if (!this.text.startsWith(word, start)) continue;
      this.at += word.length;
      return { kind: "scalar", type, text, start, end: this.at };
    }
    return null;
  }

  /** Integers of 64 bits stay integers, as Go keeps them; all else is a double. */
  private number(): Scalar {
    const start = this.at;
    const match = this.match(NUMBER);
    if (match === null) throw damaged("it is no valid json");
    const range = { kind: "scalar" as const, start, end: this.at };
    if (match[1] === undefined && match[2] === undefined) {
      const value = BigInt(match[0]);
      if (value === BigInt.asIntN(64, value)) return { ...range, type: "int", text: value.toString() };
    }
    const value = Number(match[0]);
    if (!Number.isFinite(value)) throw damaged("it has a number out of range");
    return { ...range, type: "float", text: goFloat(value) };
  }
}

const WORDS = [
  ["true", "bool", "True"],
  ["false", "bool", "False"],
  ["null", "null", ""],
] as const;
