import { Bytes } from "./abi";
import { encodeBase64, encodedSize } from "./base64";

/** Writes the output text into one growing buffer. Values come from the host, so strings are well-formed UTF-8. */
export class Writer {
  private start: usize;
  private at: usize;
  private end: usize;

  /** `capacity`: a good guess at the whole text, as growing copies it. */
  constructor(capacity: usize) {
    this.start = heap.alloc(capacity);
    this.at = this.start;
    this.end = this.start + capacity;
  }

  private room(size: usize): void {
    if (this.end - this.at >= size) return;
    const used = this.at - this.start;
    const capacity = max((this.end - this.start) * 2, used + size);
    const next = heap.alloc(capacity);
    memory.copy(next, this.start, used);
    this.start = next;
    this.at = next + used;
    this.end = next + capacity;
  }

  /** ASCII as it stands. */
  raw(literal: string): Writer {
    this.room(literal.length);
    for (let i = 0; i < literal.length; i++) store<u8>(this.at++, <u8>literal.charCodeAt(i));
    return this;
  }

  /** JSON of the host, as it stands. */
  json(text: Bytes): Writer {
    this.room(text.len);
    memory.copy(this.at, text.ptr, text.len);
    this.at += text.len;
    return this;
  }

  /** A quoted JSON string. */
  string(text: Bytes): Writer {
    this.room(text.len * 6 + 2);
    let out = this.at;
    store<u8>(out++, 0x22);
    for (let i: usize = 0; i < text.len; i++) {
      const c = load<u8>(text.ptr + i);
      if (c == 0x22 || c == 0x5c) {
        store<u8>(out++, 0x5c);
        store<u8>(out++, c);
      } else if (c < 0x20) {
        store<u32>(out, 0x3030755c); // \u00
        store<u8>(out, hexDigit(c >> 4), 4);
        store<u8>(out, hexDigit(c & 15), 5);
        out += 6;
      } else store<u8>(out++, c);
    }
    store<u8>(out++, 0x22);
    this.at = out;
    return this;
  }

  base64(bytes: Bytes): Writer {
    const size = encodedSize(bytes.len);
    this.room(size + 2);
    store<u8>(this.at, 0x22);
    encodeBase64(bytes, this.at + 1);
    store<u8>(this.at + 1 + size, 0x22);
    this.at += size + 2;
    return this;
  }

  /** A SHA-256 as `"sha256:<lower-case hex>"`. */
  digest(hash: Bytes): Writer {
    this.raw('"sha256:');
    this.room(hash.len * 2 + 1);
    for (let i: usize = 0; i < hash.len; i++) {
      const c = load<u8>(hash.ptr + i);
      store<u8>(this.at++, hexDigit(c >> 4));
      store<u8>(this.at++, hexDigit(c & 15));
    }
    store<u8>(this.at++, 0x22);
    return this;
  }

  uint(value: u64): Writer {
    this.room(20);
    let scale: u64 = 1;
    while (value / scale >= 10) scale *= 10;
    for (; scale > 0; scale /= 10) store<u8>(this.at++, <u8>(0x30 + ((value / scale) % 10)));
    return this;
  }

  text(): Bytes {
    return new Bytes(this.start, this.at - this.start);
  }
}

function hexDigit(value: u8): u8 {
  return value < 10 ? 0x30 + value : 0x57 + value;
}
