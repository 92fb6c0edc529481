import { ComponentError, Cursor, malformed, unsupported } from "./cursor.ts";
import type { LinkPlan } from "./plan.ts";

export interface CoreBounds {
  /** Pages of 64 KiB. */
  readonly memoryPages: number;
}

export const PAGE_BYTES = 65_536;
const MOST_TABLE_ELEMENTS = 10_000;

/**
 * The same core module with its memory and tables limited: growth beyond gives -1, as a full machine would.
 * A lower limit of its own stays. Throws {@link ComponentError} `component_too_large` when it starts above the limit,
 * `component_unsupported` for shared, 64-bit or several memories.
 */
export function boundCore(core: Uint8Array, bounds: CoreBounds): Uint8Array {
  const from = new Cursor(core);
  const parts: Uint8Array[] = [from.take(8)];
  while (!from.done) {
    const start = from.offset;
    const id = from.byte();
    const body = from.take(from.u32());
    if (id === 4) parts.push(section(id, tables(new Cursor(body))));
    else if (id === 5) parts.push(section(id, memories(new Cursor(body), bounds.memoryPages)));
    else parts.push(core.subarray(start, from.offset));
  }
  return Buffer.concat(parts);
}

const MOST_INSTANCES = 64;

/**
 * Refuses components that multiply linear memory, so that one limit holds for a call: in several modules, or in
 * several instances of one. Modules may share the one that there is. Throws {@link ComponentError}
 * `component_unsupported`.
 */
export function checkMemories(cores: readonly Uint8Array[], steps: LinkPlan["steps"]): void {
  if (steps.length > MOST_INSTANCES) throw unsupported(`more than ${MOST_INSTANCES} core instances`);
  const defined = cores.map(memoriesOf);
  const made = steps.reduce((sum, { module }) => sum + (defined[module] ?? 0), 0);
  if (made > 1) throw unsupported("several memories");
}

/** How many memories a core module defines. */
function memoriesOf(core: Uint8Array): number {
  let defined = 0;
  const from = new Cursor(core);
  from.take(8);
  while (!from.done) {
    const id = from.byte();
    const body = new Cursor(from.take(from.u32()));
    if (id === 2) checkImports(body);
    if (id === 5) defined += body.u32();
  }
  return defined;
}

function checkImports(from: Cursor): void {
  from.vector(() => {
    from.name();
    from.name();
    switch (from.byte()) {
      case 0x00:
        from.u32();
        return;
      case 0x01:
        referenceType(from);
        limits(from);
        return;
      case 0x02:
        // The one memory of the component: no other can be given to it.
        limits(from);
        return;
      case 0x03:
        // One-byte value types only: what a global of reference type would carry has no use between these modules.
        from.byte();
        from.byte();
        return;
      default:
        throw unsupported("tags between core modules");
    }
  });
}

function tables(from: Cursor): Uint8Array {
  const count = from.u32();
  const parts: Uint8Array[] = [leb(count)];
  for (let i = 0; i < count; i++) {
    const type = referenceType(from);
    parts.push(Uint8Array.of(type), bounded(limits(from), MOST_TABLE_ELEMENTS, "table elements"));
  }
  if (!from.done) throw malformed("a section is longer than its content");
  return Buffer.concat(parts);
}

function memories(from: Cursor, pages: number): Uint8Array {
  const count = from.u32();
  if (count > 1) throw unsupported("several memories");
  const parts: Uint8Array[] = [leb(count)];
  if (count === 1) parts.push(bounded(limits(from), pages, "pages of memory"));
  if (!from.done) throw malformed("a section is longer than its content");
  return Buffer.concat(parts);
}

function referenceType(from: Cursor): number {
  const type = from.byte();
  if (type !== 0x70 && type !== 0x6f) throw unsupported("typed references or table initialisers");
  return type;
}

interface Limits {
  readonly least: number;
  readonly most: number | null;
}

function limits(from: Cursor): Limits {
  const flags = from.byte();
  if (flags > 0x01) throw unsupported("shared or 64-bit memories or tables");
  const least = from.u32();
  return { least, most: flags === 0x01 ? from.u32() : null };
}

function bounded({ least, most }: Limits, limit: number, unit: string): Uint8Array {
  if (least > limit)
    throw new ComponentError(
      "component_too_large",
      `the component starts with ${least} ${unit}; ${limit} are allowed`,
    );
  return Buffer.concat([Uint8Array.of(0x01), leb(least), leb(most === null ? limit : Math.min(most, limit))]);
}

function section(id: number, body: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(id), leb(body.byteLength), body]);
}

function leb(value: number): Uint8Array {
  const out: number[] = [];
  let left = value;
  while (left > 0x7f) {
    out.push((left & 0x7f) | 0x80);
    left = Math.floor(left / 128);
  }
  out.push(left);
  return Uint8Array.from(out);
}
