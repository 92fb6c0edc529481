import { utf8 } from "../../core/bytes.ts";
import { Cursor, malformed, unsupported } from "../component/cursor.ts";
import {
  ADDED_TYPES,
  addedBodies,
  addedExports,
  addedFunctionTypes,
  addedGlobals,
  addedImports,
  METER_NAMESPACE,
} from "./additions.ts";
import { ByteWriter } from "./byte-writer.ts";
import { copyConstant } from "./constant-expression.ts";
import { globalType, readDeclarations } from "./declarations.ts";
import { copyElement } from "./element.ts";
import { BodyRewriter } from "./function-body.ts";
import { atMost } from "./limits.ts";
import { ModuleSpace } from "./module-space.ts";
import { readSections, readVector, SECTION, SECTION_ORDER } from "./sections.ts";

/**
 * The same core module, metered: it counts fuel at the entry of each function and the header of each loop, and asks
 * the host for more through `latchgate:meter` `refill`, for memory through `grow`; it exports how much of what it was
 * given is left, and its start function for the host to call: the engine would call it where the guest cannot be
 * kept from catching that the host is not there yet. Runs once per component, linear in its size. Throws `ComponentError` for a module that is malformed, too
 * large, or uses what the sandbox does not run. That the module is valid is for the engine to say when it compiles
 * the result; no index of an invalid one can mean something that was added.
 */
export function meterModule(module: Uint8Array): Uint8Array<ArrayBuffer> {
  atMost("moduleBytes", module.byteLength, "bytes in one core module");
  const sections = readSections(module);
  const space = new ModuleSpace(readDeclarations(sections));
  const out = new ByteWriter(Math.ceil(module.byteLength * 1.125) + 512);
  out.append(module.subarray(0, 8));
  const body = new ByteWriter();
  for (const kind of SECTION_ORDER) {
    body.clear();
    writeSection(kind, sections.get(kind), space, body);
    if (body.size === 0) continue;
    out.byte(kind);
    out.sized(body.window());
  }
  return out.window().slice();
}

function writeSection(
  kind: number,
  source: Uint8Array | undefined,
  space: ModuleSpace,
  to: ByteWriter,
): void {
  switch (kind) {
    case SECTION.type:
      extend(source, to, ADDED_TYPES.length);
      for (const type of ADDED_TYPES) to.append(type);
      return;
    case SECTION.import: {
      const imports = addedImports(space);
      extend(source, to, imports.length);
      for (const { name, type } of imports) {
        writeName(to, METER_NAMESPACE);
        writeName(to, name);
        to.byte(0x00);
        to.u32(space.addedType(type));
      }
      return;
    }
    case SECTION.function: {
      const types = addedFunctionTypes(space);
      extend(source, to, types.length);
      for (const type of types) to.u32(space.addedType(type));
      return;
    }
    case SECTION.global:
      writeGlobals(source ?? EMPTY, space, to);
      return;
    case SECTION.export:
      writeExports(source ?? EMPTY, space, to);
      return;
    case SECTION.code:
      writeCode(source ?? EMPTY, space, to);
      return;
    case SECTION.start:
      return; // exported instead
    case SECTION.element:
      if (source !== undefined) copyVector(source, to, (from) => copyElement(from, to, space));
      return;
    case SECTION.data:
      if (source !== undefined) copyVector(source, to, (from) => copyData(from, to, space));
      return;
    default:
      if (source !== undefined) to.append(source);
  }
}

/** An empty vector. */
const EMPTY = Uint8Array.of(0);

/** Copies a vector whose items stay as they are, with a count that has room for more. */
function extend(source: Uint8Array = EMPTY, to: ByteWriter, added: number): void {
  const from = new Cursor(source);
  to.u32(from.count() + added);
  to.append(from.between(from.offset, source.byteLength));
}

function copyVector(source: Uint8Array, to: ByteWriter, item: (from: Cursor) => void, added = 0): number {
  to.u32(new Cursor(source).count() + added);
  return readVector(source, item);
}

function writeGlobals(source: Uint8Array, space: ModuleSpace, to: ByteWriter): void {
  const added = addedGlobals(space);
  copyVector(
    source,
    to,
    (from) => {
      const start = from.offset;
      globalType(from);
      to.append(from.between(start, from.offset));
      copyConstant(from, to, space);
    },
    added.length,
  );
  for (const global of added) to.append(global);
}

function writeExports(source: Uint8Array, space: ModuleSpace, to: ByteWriter): void {
  const added = addedExports(space);
  copyVector(
    source,
    to,
    (from) => {
      const name = from.name();
      if (name.startsWith(METER_NAMESPACE)) throw unsupported("the namespace of the meter");
      writeName(to, name);
      const kind = from.byte();
      to.byte(kind);
      to.u32(exportedIndex(kind, from.u32(), space));
    },
    added.length,
  );
  for (const [name, index] of added) {
    writeName(to, name);
    to.byte(0x00);
    to.u32(index);
  }
}

function exportedIndex(kind: number, index: number, space: ModuleSpace): number {
  switch (kind) {
    case 0x00:
      return space.function(index);
    case 0x01:
      return space.table(index);
    case 0x02:
      return space.memory(index);
    case 0x03:
      return space.global(index);
    case 0x04:
      return space.tag(index);
    default:
      throw malformed("an export of an unknown kind");
  }
}

function writeCode(source: Uint8Array, space: ModuleSpace, to: ByteWriter): void {
  const body = new ByteWriter();
  const rewriter = new BodyRewriter(space, body);
  const added = addedBodies(space);
  const count = copyVector(
    source,
    to,
    (from) => {
      const size = from.u32();
      atMost("functionBytes", size, "bytes in one function");
      body.clear();
      rewriter.rewrite(new Cursor(from.take(size)));
      to.sized(body.window());
    },
    added.length,
  );
  if (count !== space.declared.functions - space.declared.importedFunctions)
    throw malformed("as many functions as bodies are needed");
  for (const helper of added) to.sized(helper);
}

/** Data segments: their offsets may name globals. */
function copyData(from: Cursor, to: ByteWriter, space: ModuleSpace): void {
  const mode = from.u32();
  if (mode > 2) throw malformed("a data segment of an unknown kind");
  to.u32(mode);
  if (mode === 2) to.u32(space.memory(from.u32()));
  if (mode !== 1) copyConstant(from, to, space);
  to.sized(from.take(from.u32()));
}

function writeName(to: ByteWriter, name: string): void {
  to.sized(utf8(name));
}
