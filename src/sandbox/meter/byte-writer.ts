/** A byte buffer that grows, for the WebAssembly binary format. */
export class ByteWriter {
  private bytes: Uint8Array<ArrayBuffer>;
  private length = 0;

  constructor(capacity = 1024) {
    this.bytes = new Uint8Array(capacity);
  }

  get size(): number {
    return this.length;
  }

  clear(): void {
    this.length = 0;
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** Unsigned LEB128. */
  u32(value: number): void {
    this.reserve(5);
    let left = value;
    while (left > 0x7f) {
      this.bytes[this.length++] = (left & 0x7f) | 0x80;
      left = Math.floor(left / 128);
    }
    this.bytes[this.length++] = left;
  }

  /** Signed LEB128. */
  i32(value: number): void {
    this.reserve(5);
    let left = value | 0;
    while (left < -64 || left > 63) {
      this.bytes[this.length++] = (left & 0x7f) | 0x80;
      left >>= 7;
    }
    this.bytes[this.length++] = left & 0x7f;
  }

  append(part: ArrayLike<number>): void {
    this.reserve(part.length);
    this.bytes.set(part, this.length);
    this.length += part.length;
  }

  /** A section or a body: its length, then it. */
  sized(part: Uint8Array): void {
    this.u32(part.byteLength);
    this.append(part);
  }

  /** Changes a byte that was written. */
  patch(at: number, value: number): void {
    this.bytes[at] = value;
  }

  /** A window on the buffer, until the next write. */
  window(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(0, this.length);
  }

  private reserve(more: number): void {
    const needed = this.length + more;
    if (needed <= this.bytes.byteLength) return;
    const larger = new Uint8Array(Math.max(needed, this.bytes.byteLength * 2));
    larger.set(this.window());
    this.bytes = larger;
  }
}
