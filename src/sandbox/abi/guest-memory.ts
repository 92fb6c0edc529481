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

/**
 * One instance's linear memory. The component controls every pointer, length and byte in it, so each access is
 * checked against the memory as it is at that moment: growing replaces the buffer. Throws {@link AbiError}.
 */
export class GuestMemory {
  private readonly memory: WebAssembly.Memory;
  private readonly realloc: Realloc | null;

  constructor(memory: WebAssembly.Memory, realloc: Realloc | null) {
    this.memory = memory;
    this.realloc = realloc;
  }

  get byteLength(): number {
    return this.memory.buffer.byteLength;
  }

  /** A window on guest memory; valid until the guest runs again. */
  bytes(ptr: number, length: number): Uint8Array {
    const { buffer } = this.memory;
    // Both are below 2^32, so their sum is exact.
    if (ptr + length > buffer.byteLength) throw new AbiError("pointer and length reach beyond the memory");
    return new Uint8Array(buffer, ptr, length);
  }

  view(ptr: number, size: number, align: number): DataView {
    if (ptr % align !== 0) throw new AbiError("pointer is not aligned");
    const { buffer } = this.memory;
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
    if (ptr + size > this.memory.buffer.byteLength)
      throw new AbiError("realloc gave an address beyond the memory");
    return ptr;
  }
}
