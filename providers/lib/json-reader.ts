import { Bytes } from "./abi";

/**
 * Reads the task, which is always what the host's `JSON.stringify` wrote: well-formed UTF-8, well-formed JSON. What is
 * not of the expected shape traps. Strings are unescaped in place, where they never grow.
 */
export class Reader {
  private at: usize;
  private readonly end: usize;

  constructor(text: Bytes) {
    this.at = text.ptr;
    this.end = text.ptr + text.len;
  }

  private peek(): u8 {
    while (this.at < this.end) {
      const c = load<u8>(this.at);
      if (c != 0x20 && c != 0x0a && c != 0x0d && c != 0x09) return c;
      this.at++;
    }
    return 0;
  }

  expect(c: u8): void {
    if (this.peek() != c) unreachable();
    this.at++;
  }

  /** Whether another member or item follows; consumes the comma before it, or the closing bracket. */
  more(close: u8, first: bool): bool {
    if (this.peek() == close) {
      this.at++;
      return false;
    }
    if (!first) this.expect(0x2c);
    return true;
  }

  /** A member's name with its colon. */
  name(): Bytes {
    const name = this.string();
    this.expect(0x3a);
    return name;
  }

  string(): Bytes {
    this.expect(0x22);
    const start = this.at;
    let out = start;
    let in_ = start;
    for (;;) {
      if (in_ >= this.end) unreachable();
      const c = load<u8>(in_);
      if (c == 0x22) break;
      if (c != 0x5c) {
        if (out != in_) store<u8>(out, c);
        out++;
        in_++;
        continue;
      }
      if (in_ + 1 >= this.end) unreachable();
      const escape = load<u8>(in_, 1);
      in_ += 2;
      if (escape != 0x75) {
        store<u8>(out++, unescaped(escape));
        continue;
      }
      let code = this.hex(in_);
      in_ += 4;
      if (code >= 0xd800 && code <= 0xdbff) {
        // JSON.stringify escapes lone surrogates only, and the host's texts hold none.
        if (in_ + 6 > this.end || load<u8>(in_) != 0x5c || load<u8>(in_, 1) != 0x75) unreachable();
        const low = this.hex(in_ + 2);
        if (low < 0xdc00 || low > 0xdfff) unreachable();
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        in_ += 6;
      } else if (code >= 0xdc00 && code <= 0xdfff) unreachable();
      out = storeUtf8(out, code);
    }
    this.at = in_ + 1;
    return new Bytes(start, out - start);
  }

  /** A string, or null where the document says so. */
  stringOrNull(): Bytes | null {
    if (this.peek() != 0x6e) return this.string();
    this.expect(0x6e);
    this.expect(0x75);
    this.expect(0x6c);
    this.expect(0x6c);
    return null;
  }

  bool(): bool {
    const truth = this.peek() == 0x74;
    const word = truth ? "true" : "false";
    for (let i = 0; i < word.length; i++) this.expect(<u8>word.charCodeAt(i));
    return truth;
  }

  /** A whole number of 32 bits. */
  uint(): u32 {
    let value: u64 = 0;
    this.peek();
    const start = this.at;
    while (this.at < this.end) {
      const digit = load<u8>(this.at) - 0x30;
      if (digit > 9) break;
      value = value * 10 + digit;
      if (value > <u64>u32.MAX_VALUE) unreachable();
      this.at++;
    }
    if (this.at == start) unreachable();
    return <u32>value;
  }

  /** Nothing but white space is left. */
  done(): void {
    if (this.peek() != 0 || this.at != this.end) unreachable();
  }

  private hex(at: usize): u32 {
    if (at + 4 > this.end) unreachable();
    let code: u32 = 0;
    for (let i: usize = 0; i < 4; i++) {
      const c = load<u8>(at + i);
      const letter = c | 0x20;
      const digit: u32 = c >= 0x30 && c <= 0x39 ? c - 0x30 : letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : 16;
      if (digit == 16) unreachable();
      code = (code << 4) | digit;
    }
    return code;
  }
}

function unescaped(c: u8): u8 {
  switch (c) {
    case 0x22:
    case 0x5c:
    case 0x2f:
      return c;
    case 0x62:
      return 0x08;
    case 0x66:
      return 0x0c;
    case 0x6e:
      return 0x0a;
    case 0x72:
      return 0x0d;
    case 0x74:
      return 0x09;
    default:
      return unreachable();
  }
}

function storeUtf8(out: usize, code: u32): usize {
  if (code < 0x80) {
    store<u8>(out, code);
    return out + 1;
  }
  if (code < 0x800) {
    store<u8>(out, 0xc0 | (code >> 6));
    store<u8>(out, 0x80 | (code & 0x3f), 1);
    return out + 2;
  }
  if (code < 0x10000) {
    store<u8>(out, 0xe0 | (code >> 12));
    store<u8>(out, 0x80 | ((code >> 6) & 0x3f), 1);
    store<u8>(out, 0x80 | (code & 0x3f), 2);
    return out + 3;
  }
  store<u8>(out, 0xf0 | (code >> 18));
  store<u8>(out, 0x80 | ((code >> 12) & 0x3f), 1);
  store<u8>(out, 0x80 | ((code >> 6) & 0x3f), 2);
  store<u8>(out, 0x80 | (code & 0x3f), 3);
  return out + 4;
}
