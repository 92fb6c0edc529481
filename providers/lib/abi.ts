// The guest half of the canonical ABI (component model, CanonicalABI.md) as the providers need it. An instance lives
// for one call, so memory is only ever taken, never given back.

/** Bytes somewhere in this instance's memory; a string is its UTF-8. */
export class Bytes {
  constructor(
    readonly ptr: usize,
    readonly len: usize,
  ) {}

  /** The same bytes as an ASCII literal. */
  is(literal: string): bool {
    if (this.len != <usize>literal.length) return false;
    for (let i = 0; i < literal.length; i++) {
      if (load<u8>(this.ptr + i) != <u8>literal.charCodeAt(i)) return false;
    }
    return true;
  }
}

export function ascii(literal: string): Bytes {
  const ptr = heap.alloc(literal.length);
  for (let i = 0; i < literal.length; i++) store<u8>(ptr + i, <u8>literal.charCodeAt(i));
  return new Bytes(ptr, literal.length);
}

/** The string or list whose pointer and length the host has stored at `field`. */
export function bytesAt(field: usize): Bytes {
  return new Bytes(load<usize>(field), load<usize>(field, 4));
}

/** The host asks for memory through this; it is exported by every provider. */
export function reallocate(old: usize, oldSize: usize, align: usize, size: usize): usize {
  if (align > 16) unreachable();
  const ptr = heap.alloc(size);
  if (oldSize > 0) memory.copy(ptr, old, min(oldSize, size));
  return ptr;
}

/** `result<string, string>` in memory: a discriminant, then pointer and length of the text. */
function result(discriminant: u8, text: Bytes): usize {
  const area = heap.alloc(12);
  store<u8>(area, discriminant);
  store<usize>(area, text.ptr, 4);
  store<usize>(area, text.len, 8);
  return area;
}

export function ok(text: Bytes): usize {
  return result(0, text);
}

export function err(message: string): usize {
  return result(1, ascii(message));
}

/** What the compiler calls when an assertion of its library fails. */
export function abort(_message: string | null, _file: string | null, _line: u32, _column: u32): void {
  unreachable();
}
