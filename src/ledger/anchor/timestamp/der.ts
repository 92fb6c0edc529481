import { LedgerError } from "../../errors.ts";

/** Universal tags that time stamps and certificates use (X.690 §8), constructed ones with their bit. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Tag of a context-specific element; constructed unless told otherwise. */
export function context(number: number, constructed = true): number {
  return (constructed ? 0xa0 : 0x80) | number;
}

export interface Element {
  readonly tag: number;
  /** Tag, length and content, as they stand in the text. */
  readonly whole: Buffer;
  readonly content: Buffer;
}

/** Throws `timestamp_malformed`. */
export function malformed(what: string): never {
  throw new LedgerError("timestamp_malformed", what);
}

/**
 * Reads elements one after the other, in DER and nothing else (X.690 §10): definite lengths in their shortest form.
 * It holds views of the text, never copies, and never looks beyond it; an attacker controls the text. Every method
 * throws `timestamp_malformed`.
 */
export class DerReader {
  private readonly text: Buffer;
  private at = 0;

  constructor(text: Buffer) {
    this.text = text;
  }

  /** The one element that the text is. */
  static only(text: Buffer, tag: number): Element {
    const reader = new DerReader(text);
    const element = reader.next(tag);
    reader.end();
    return element;
  }

  get done(): boolean {
    return this.at === this.text.length;
  }

  next(tag: number): Element {
    const element = this.any();
    if (element.tag !== tag) malformed(`tag ${element.tag} where ${tag} should be`);
    return element;
  }

  /** The next element when it has this tag; otherwise null, and it is still the next. */
  optional(tag: number): Element | null {
    return this.text[this.at] === tag ? this.next(tag) : null;
  }

  any(): Element {
    const start = this.at;
    const tag = this.byte();
    if ((tag & 0x1f) === 0x1f) malformed("a tag of several bytes");
    const first = this.byte();
    let length = first;
    if (first >= 0x80) {
      const bytes = first & 0x7f;
      if (bytes === 0 || bytes > 3) malformed("a length that is indefinite or too large");
      length = 0;
      for (let i = 0; i < bytes; i++) length = length * 256 + this.byte();
      if (length < 0x80 || length < 256 ** (bytes - 1))
        malformed("a length that is not in its shortest form");
    }
    const content = this.at;
    if (length > this.text.length - content) malformed("an element that is cut off");
    this.at += length;
    return {
      tag,
      whole: this.text.subarray(start, this.at),
      content: this.text.subarray(content, this.at),
    };
  }

  /** All elements that are left. */
  rest(): Element[] {
    const elements: Element[] = [];
    while (!this.done) elements.push(this.any());
    return elements;
  }

  /** Nothing may follow. */
  end(): void {
    if (!this.done) malformed("something follows where nothing may");
  }

  private byte(): number {
    const byte = this.text[this.at];
    if (byte === undefined) malformed("an element that is cut off");
    this.at++;
    return byte;
  }
}

/** A sequence's content, to be read. */
export function sequence(element: Element): DerReader {
  if (element.tag !== TAG.sequence) malformed("not a sequence");
  return new DerReader(element.content);
}

/** X.690 §8.3: two's complement in the fewest octets. */
export function integerOf({ content }: Element): bigint {
  const [first, second] = content;
  if (first === undefined) malformed("an integer without content");
  if (second !== undefined && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80)))
    malformed("an integer that is not in its shortest form");
  return BigInt.asIntN(content.length * 8, BigInt(`0x${content.toString("hex")}`));
}

/** A small non-negative integer, such as a version. */
export function smallInteger(element: Element): number {
  const value = integerOf(element);
  if (value < 0n || value > 0x7fffffffn) malformed("an integer out of its range");
  return Number(value);
}

/** X.690 §11.1: true is 0xff. */
export function booleanOf({ content }: Element): boolean {
  if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) malformed("not a boolean");
  return content[0] === 0xff;
}

/** X.690 §8.19, as dotted text. */
export function oidOf({ content }: Element): string {
  const arcs: bigint[] = [];
  let arc = 0n;
  let inside = false;
  for (const byte of content) {
    if (!inside && byte === 0x80) malformed("an object identifier that is not in its shortest form");
    arc = arc * 128n + BigInt(byte & 0x7f);
    inside = byte >= 0x80;
    if (arc > 1n << 128n) malformed("an object identifier with too large a number");
    if (inside) continue;
    if (arcs.length === 0) {
      const root = arc < 40n ? 0n : arc < 80n ? 1n : 2n;
      arcs.push(root, arc - root * 40n);
    } else arcs.push(arc);
    arc = 0n;
  }
  if (inside || arcs.length === 0) malformed("an object identifier that is cut off");
  return arcs.join(".");
}

/** The octets of a bit string whose bits are all in use (X.690 §8.6). */
export function octetsOf({ content }: Element): Buffer {
  if (content[0] !== 0) malformed("a bit string with unused bits");
  return content.subarray(1);
}

const TIME = /^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(?:\.(\d{0,8}[1-9]))?Z$/;

/** UTCTime or GeneralizedTime (RFC 5280 §4.1.2.5, RFC 3161 §2.4.2) as milliseconds since the epoch, rounded down. */
export function timeOf({ tag, content }: Element): number {
  const written = content.toString("latin1");
  if (tag !== TAG.utcTime && tag !== TAG.generalizedTime) malformed("not a time");
  const century = Number(written.slice(0, 2)) >= 50 ? "19" : "20";
  const match = TIME.exec(tag === TAG.utcTime ? century + written : written);
  if (match === null || (tag === TAG.utcTime && match[7] !== undefined)) malformed("not a time in DER");
  const [, year, month, day, hour, minute, second, fraction = ""] = match;
  const instant = `${year}-${month}-${day}T${hour}:${minute}:${second}.${fraction.padEnd(3, "0").slice(0, 3)}Z`;
  const ms = Date.parse(instant);
  // A date that does not exist would be another one.
  if (Number.isNaN(ms) || new Date(ms).toISOString() !== instant) malformed("a time that does not exist");
  return ms;
}
