import { LatchGateError } from "../../core/errors.ts";

/** A component broke the canonical ABI. By the standard it traps. */
export class AbiError extends LatchGateError {
  constructor(message: string) {
    super("abi_violation", message);
  }
}

/** What a component exports for the host to take memory with. */
export type Realloc = (old: number, oldSize: number, align: number, size: number) => unknown;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const NOTHING = new ArrayBuffer(0);

/**
 * One instance's linear memory. The component controls every pointer, length and byte in it, so each access is
 * checked against the memory as it is at that moment: growing replaces the buffer. Throws {@link AbiError}, also where
 * the memory is used before it has been bound, which is while modules start.
 */
export class GuestMemory {
  private memory: WebAssembly.Memory | null = null;
  private realloc: Realloc | null = null;
  /** The memory's buffer as it was last seen; a buffer that growing has replaced has no bytes. */
  private seen: ArrayBuffer = NOTHING;

  static of(memory: WebAssembly.Memory, realloc: Realloc | null): GuestMemory {
    const made = new GuestMemory();
    made.bind(memory, realloc);
    return made;
  }

  bind(memory: WebAssembly.Memory, realloc: Realloc | null): void {
    this.memory = memory;
    this.realloc = realloc;
  }

  get byteLength(): number {
    return this.buffer.byteLength;
  }

  /** A window on guest memory; valid until the guest runs again. */
  bytes(ptr: number, length: number): Uint8Array {
    const { buffer } = this;
    // Both are below 2^32, so their sum is exact.
    if (ptr + length > buffer.byteLength) throw new AbiError("pointer and length reach beyond the memory");
    return new Uint8Array(buffer, ptr, length);
  }

  view(ptr: number, size: number, align: number): DataView {
    if (ptr % align !== 0) throw new AbiError("pointer is not aligned");
    const { buffer } = this;
    if (ptr + size > buffer.byteLength) throw new AbiError("pointer reaches beyond the memory");
    return new DataView(buffer, ptr, size);
  }

  text(ptr: number, length: number): string {
    try {
      return decoder.decode(this.bytes(ptr, length));
    } catch (error) {
      if (error instanceof AbiError) throw error;
      throw new AbiError("string is not valid utf-8");
    }
  }

  /** Asks the guest for room; what it answers is checked. */
  allocate(align: number, size: number): number {
    if (this.realloc === null) throw new AbiError("component exports no realloc");
    const answer = this.realloc(0, 0, align, size);
    if (typeof answer !== "number") throw new AbiError("realloc gave no address");
    const ptr = answer >>> 0;
    if (ptr % align !== 0) throw new AbiError("realloc gave an address that is not aligned");
    if (ptr + size > this.byteLength) throw new AbiError("realloc gave an address beyond the memory");
    return ptr;
  }

  /** The engine makes each buffer once, and takes its bytes when the memory grows. */
  private get buffer(): ArrayBuffer {
    if (this.seen.byteLength > 0) return this.seen;
    if (this.memory === null) throw new AbiError("the memory is not there yet");
    this.seen = this.memory.buffer;
    return this.seen;
  }
}
