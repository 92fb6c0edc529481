import { LatchGateError } from "../../core/errors.ts";

export type ComponentFault =
  | "component_malformed"
  | "component_digest_mismatch"
  | "component_too_large"
  | "component_import_unknown"
  | "component_export_unknown"
  | "component_export_missing"
  | "component_signature_mismatch"
  | "component_unsupported"
  | "component_invalid";

/** A component that the gate does not take, with one of the codes of {@link ComponentFault}. */
export class ComponentError extends LatchGateError {
  override readonly code: ComponentFault;

  constructor(code: ComponentFault, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(code, message, options);
    this.code = code;
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads the primitives of the WebAssembly binary format. Throws {@link ComponentError} `component_malformed`. */
export class Cursor {
  private at = 0;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get done(): boolean {
    return this.at === this.bytes.byteLength;
  }

  /** Bytes read so far. */
  get offset(): number {
    return this.at;
  }

  peek(): number {
    const value = this.bytes[this.at];
    if (value === undefined) throw malformed("it ends early");
    return value;
  }

  byte(): number {
    const value = this.peek();
    this.at++;
    return value;
  }

  expect(value: number, what: string): void {
    if (this.byte() !== value) throw malformed(`expected ${what}`);
  }

  /** An unsigned LEB128 of at most 32 bits. */
  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      if (shift === 28 && byte > 0x0f) break;
      // Multiplication instead of a shift keeps the top bit unsigned.
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw malformed("an integer is too long");
  }

  /** Steps over a signed LEB128 of so many bits. That its last byte fits is for the engine to say. */
  skipSigned(bits: 32 | 33 | 64): void {
    for (let left = Math.ceil(bits / 7); left > 0; left--) if (this.byte() < 0x80) return;
    throw malformed("an integer is too long");
  }

  skip(length: number): void {
    if (length > this.bytes.byteLength - this.at) throw malformed("it ends early");
    this.at += length;
  }

  /** What was read between two offsets. */
  between(start: number, end: number): Uint8Array {
    return this.bytes.subarray(start, end);
  }

  take(length: number): Uint8Array {
    if (length > this.bytes.byteLength - this.at) throw malformed("a section reaches beyond the end");
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  name(): string {
    const raw = this.take(this.u32());
    try {
      return decoder.decode(raw);
    } catch (cause) {
      throw new ComponentError("component_malformed", "not a valid component: a name is not utf-8", {
        cause,
      });
    }
  }

  vector<T>(item: () => T): T[] {
    return Array.from({ length: this.count() }, item);
  }

  /** The length of a vector. Each item takes at least one byte, so a forged one cannot reserve memory. */
  count(): number {
    const count = this.u32();
    if (count > this.bytes.byteLength - this.at) throw malformed("a vector is longer than its section");
    return count;
  }
}

export function malformed(detail: string): ComponentError {
  return new ComponentError("component_malformed", `not a valid component: ${detail}`);
}

export function unsupported(what: string): ComponentError {
  return new ComponentError(
    "component_unsupported",
    `the component uses ${what}, which the sandbox does not run`,
    {
      hint: "build it as one core module with wasm-tools component new, against the world latchgate:provider/provider",
    },
  );
}
