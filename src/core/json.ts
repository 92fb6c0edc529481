export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [name: string]: Json };

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export type JsonFault =
  | "not_utf8"
  | "too_large"
  | "too_deep"
  | "array_too_long"
  | "syntax"
  | "duplicate_member"
  | "unsafe_integer"
  | "number_out_of_range"
  | "lone_surrogate"
  | "forbidden_member";

export class JsonError extends Error {
  readonly fault: JsonFault;
  /** Byte or character offset where reading stopped. */
  readonly offset: number;
  constructor(fault: JsonFault, message: string, offset: number) {
    super(message);
    this.name = "JsonError";
    this.fault = fault;
    this.offset = offset;
  }
}

export interface JsonLimits {
  /** Longest input, in bytes of UTF-8. */
  readonly bytes: number;
  /** Deepest nesting: a scalar is 0, each container adds 1. */
  readonly depth: number;
  /** Longest array; absent means no limit. */
  readonly items?: number;
}

export const REQUEST_LIMITS: JsonLimits = { bytes: 1_048_576, depth: 32 };

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads one JSON text (RFC 8259) under the I-JSON restrictions (RFC 7493) that make its hash and its meaning agree
 * for every reader: no duplicate members, no integers beyond 2^53 - 1, no lone surrogates, no `__proto__`.
 * Throws {@link JsonError}. An attacker controls the input.
 */
export function parseJson(input: Uint8Array | string, limits: JsonLimits = REQUEST_LIMITS): Json {
  const size = typeof input === "string" ? Buffer.byteLength(input) : input.byteLength;
  if (size > limits.bytes)
    throw new JsonError("too_large", `longer than ${limits.bytes} bytes`, limits.bytes);
  let text: string;
  if (typeof input === "string") text = input;
  else {
    try {
      text = decoder.decode(input);
    } catch {
      throw new JsonError("not_utf8", "not valid utf-8", 0);
    }
  }
  return new Reader(text, limits).document();
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const PLAIN_STRING = /[^"\\\u0000-\u001f\ud800-\udfff]*/y;

class Reader {
  private at = 0;
  private readonly text: string;
  private readonly limits: JsonLimits;

  constructor(text: string, limits: JsonLimits) {
    this.text = text;
    this.limits = limits;
  }

  document(): Json {
    const value = this.value(0);
    this.space();
    if (this.at !== this.text.length) throw this.fault("syntax", "unexpected text after the value");
    return value;
  }

  private fault(fault: JsonFault, message: string): JsonError {
    return new JsonError(fault, message, this.at);
  }

  private space(): void {
    for (;;) {
      const c = this.text.charCodeAt(this.at);
      if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return;
      this.at++;
    }
  }

  private value(depth: number): Json {
    this.space();
    switch (this.text[this.at]) {
      case "{":
        return this.object(depth + 1);
      case "[":
        return this.array(depth + 1);
      case '"':
        return this.string();
      case "t":
        return this.word("true", true);
      case "f":
        return this.word("false", false);
      case "n":
        return this.word("null", null);
      default:
        return this.number();
    }
  }

  private word<T extends Json>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) throw this.fault("syntax", "unexpected text");
    this.at += word.length;
    return value;
  }

  private enter(depth: number): void {
    if (depth > this.limits.depth) throw this.fault("too_deep", `nested deeper than ${this.limits.depth}`);
    this.at++;
    this.space();
  }

  private object(depth: number): JsonObject {
    this.enter(depth);
    const members: Record<string, Json> = {};
    if (this.text[this.at] === "}") {
      this.at++;
      return members;
    }
    for (;;) {
      this.space();
      if (this.text[this.at] !== '"') throw this.fault("syntax", "expected a member name");
      const name = this.string();
      if (name === "__proto__") throw this.fault("forbidden_member", "member name not allowed");
      if (Object.hasOwn(members, name)) throw this.fault("duplicate_member", "duplicate member");
      this.space();
      if (this.text[this.at] !== ":") throw this.fault("syntax", "expected a colon");
      this.at++;
      members[name] = this.value(depth);
      this.space();
      const next = this.text[this.at++];
      if (next === "}") return members;
      if (next !== ",") throw this.fault("syntax", "expected a comma or a closing brace");
    }
  }

  private array(depth: number): Json[] {
    this.enter(depth);
    const items: Json[] = [];
    if (this.text[this.at] === "]") {
      this.at++;
      return items;
    }
    for (;;) {
      if (this.limits.items !== undefined && items.length >= this.limits.items)
        throw this.fault("array_too_long", `array longer than ${this.limits.items}`);
      items.push(this.value(depth));
      this.space();
      const next = this.text[this.at++];
      if (next === "]") return items;
      if (next !== ",") throw this.fault("syntax", "expected a comma or a closing bracket");
    }
  }

  private number(): number {
    NUMBER.lastIndex = this.at;
    const match = NUMBER.exec(this.text);
    if (match === null) throw this.fault("syntax", "unexpected text");
    const value = Number(match[0]);
    if (!Number.isFinite(value)) throw this.fault("number_out_of_range", "number out of range");
    // Beyond 2^53 - 1 an integer, however it is written, has neighbours that read as the same double.
    if (Number.isInteger(value) && !Number.isSafeInteger(value))
      throw this.fault("unsafe_integer", "integer beyond 2^53 - 1; send it as a string");
    this.at += match[0].length;
    return Object.is(value, -0) ? 0 : value;
  }

  private string(): string {
    let out = "";
    this.at++;
    for (;;) {
      PLAIN_STRING.lastIndex = this.at;
      const plain = PLAIN_STRING.exec(this.text);
      if (plain !== null) {
        out += plain[0];
        this.at += plain[0].length;
      }
      const c = this.text.charCodeAt(this.at);
      if (c === 0x22) {
        this.at++;
        return out;
      }
      if (c === 0x5c) out += this.escape();
      else if (c >= 0xd800 && c <= 0xdfff) {
        const pair = this.text.slice(this.at, this.at + 2);
        if (!pair.isWellFormed()) throw this.fault("lone_surrogate", "lone surrogate");
        out += pair;
        this.at += 2;
      } else throw this.fault("syntax", "control character or end of text in a string");
    }
  }

  private escape(): string {
    const simple = ESCAPES[this.text[this.at + 1] ?? ""];
    if (simple !== undefined) {
      this.at += 2;
      return simple;
    }
    const first = this.unicodeEscape();
    if (first < 0xd800 || first > 0xdfff) return String.fromCharCode(first);
    if (first > 0xdbff || this.text[this.at] !== "\\") throw this.fault("lone_surrogate", "lone surrogate");
    const second = this.unicodeEscape();
    if (second < 0xdc00 || second > 0xdfff) throw this.fault("lone_surrogate", "lone surrogate");
    return String.fromCharCode(first, second);
  }

  private unicodeEscape(): number {
    const hex = this.text.slice(this.at + 2, this.at + 6);
    if (this.text[this.at + 1] !== "u" || !/^[0-9a-fA-F]{4}$/.test(hex))
      throw this.fault("syntax", "bad escape");
    this.at += 6;
    return Number.parseInt(hex, 16);
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};
