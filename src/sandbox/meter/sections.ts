import { Cursor, malformed, unsupported } from "../component/cursor.ts";

/** Section kinds of a core module (WebAssembly core specification, 5.5.2). */
export const SECTION = {
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  code: 10,
  data: 11,
  dataCount: 12,
  tag: 13,
} as const;

/** The order in which sections stand in a module; each at most once. */
export const SECTION_ORDER: readonly number[] = [
  SECTION.type,
  SECTION.import,
  SECTION.function,
  SECTION.table,
  SECTION.memory,
  SECTION.tag,
  SECTION.global,
  SECTION.export,
  SECTION.start,
  SECTION.element,
  SECTION.dataCount,
  SECTION.code,
  SECTION.data,
];

const PREAMBLE = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

/**
 * The sections of a core module by kind. Custom sections are left out: names, hints and source maps mean nothing to
 * execution, and their offsets would be wrong. Throws `ComponentError`.
 */
export function readSections(module: Uint8Array): ReadonlyMap<number, Uint8Array> {
  const from = new Cursor(module);
  for (const byte of PREAMBLE) from.expect(byte, "the preamble of a core module");
  const sections = new Map<number, Uint8Array>();
  let last = -1;
  while (!from.done) {
    const kind = from.byte();
    const body = from.take(from.u32());
    if (kind === 0) {
      new Cursor(body).name();
      continue;
    }
    const place = SECTION_ORDER.indexOf(kind);
    if (place < 0) throw unsupported(`a section of kind ${kind} in a core module`);
    if (place <= last) throw malformed("sections of a core module twice or out of order");
    last = place;
    sections.set(kind, body);
  }
  return sections;
}

/** Reads a whole section: a vector, and nothing behind it. */
export function readVector(body: Uint8Array, item: (from: Cursor) => void): number {
  const from = new Cursor(body);
  const count = from.count();
  for (let left = count; left > 0; left--) item(from);
  if (!from.done) throw malformed("a section is longer than its content");
  return count;
}
