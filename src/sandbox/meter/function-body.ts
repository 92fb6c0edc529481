import { Cursor, malformed, unsupported } from "../component/cursor.ts";
import { ADDED, type Charge, charge } from "./additions.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { atMost } from "./limits.ts";
import type { ModuleSpace } from "./module-space.ts";
import { FORM, FORMS, vectorImmediate } from "./opcodes.ts";
import { blockType, isReferenceType, valueType } from "./value-type.ts";

/** A function's entry or a loop's header: where its charge stands, and what it pays for. */
interface Region {
  readonly amountAt: number;
  instructions: number;
}

/** A region costs this much, and one more for each 4,096 instructions. */
const REGION_COST = 1;
const INSTRUCTIONS_PER_UNIT_BITS = 12;

/** What table.grow costs beside its length: as much as this many bytes, as the engine copies the table. */
const TABLE_GROW_LENGTH = 16_384;

/**
 * Rewrites function bodies in one pass: a charge at the entry of each function and the header of each loop, moved
 * function indexes, metered bulk operations and memory growth. Whatever does not need changing is copied as it is.
 * Types are left to the engine; what metering adds takes and gives the same as what it stands for.
 */
export class BodyRewriter {
  private readonly space: ModuleSpace;
  private readonly charge: Charge;
  private readonly to: ByteWriter;
  private from: Cursor = new Cursor(new Uint8Array());
  /** Up to where the body has been copied. */
  private copied = 0;
  private readonly regions: Region[] = [];
  /** Open blocks; true for a loop. */
  private readonly blocks: boolean[] = [];

  constructor(space: ModuleSpace, to: ByteWriter) {
    this.space = space;
    this.charge = charge(space);
    this.to = to;
  }

  /** Writes the rewritten body of one function, which takes all of `from`. */
  rewrite(from: Cursor): void {
    this.from = from;
    this.copied = 0;
    this.regions.length = 0;
    this.blocks.length = 0;
    this.locals();
    this.enter(false);
    this.enterRegion();
    while (this.blocks.length > 0) this.instruction();
    if (!from.done) throw malformed("a function goes on behind its end");
    this.copyTo(from.offset);
  }

  private locals(): void {
    let total = 0;
    for (let groups = this.from.count(); groups > 0; groups--) {
      total += this.from.u32();
      atMost("locals", total, "locals in one function");
      valueType(this.from);
    }
  }

  private instruction(): void {
    const { from, space } = this;
    const start = from.offset;
    const opcode = from.byte();
    this.count();
    switch (FORMS[opcode]) {
      case FORM.plain:
        return;
      case FORM.local:
        from.u32();
        return;
      case FORM.access:
        this.memoryAccess();
        return;
      case FORM.i32:
        from.skipSigned(32);
        return;
      case FORM.i64:
        from.skipSigned(64);
        return;
      case FORM.f32:
        from.skip(4);
        return;
      case FORM.f64:
        from.skip(8);
        return;
      case FORM.label:
        from.u32();
        return;
      case FORM.block:
        blockType(from, this.space);
        this.enter(false);
        return;
      case FORM.loop:
        blockType(from, this.space);
        this.enter(true);
        this.enterRegion();
        return;
      case FORM.end:
        this.leave();
        return;
      case FORM.call:
      case FORM.functionReference:
        this.replace(start, opcode, space.function(from.u32()));
        return;
      case FORM.callIndirect:
        space.type(from.u32());
        space.table(from.u32());
        return;
      case FORM.global:
        space.global(from.u32());
        return;
      case FORM.table:
        space.table(from.u32());
        return;
      case FORM.memorySize:
        space.memory(from.u32());
        if (space.importsMemory) this.replace(start, 0x10, space.memorySizeImport);
        else this.replace(start, 0x23, space.pagesGlobal);
        return;
      case FORM.memoryGrow:
        space.memory(from.u32());
        this.replace(start, 0x10, space.importsMemory ? space.memoryGrowImport : space.added(ADDED.grow));
        return;
      case FORM.labelTable:
        for (let labels = from.count(); labels >= 0; labels--) from.u32();
        return;
      case FORM.selectTyped:
        for (let types = from.count(); types > 0; types--) valueType(from);
        return;
      case FORM.heapType:
        if (!isReferenceType(from.byte())) throw unsupported("typed references");
        return;
      case FORM.tag:
        space.tag(from.u32());
        return;
      case FORM.tryTable:
        this.tryTable();
        return;
      case FORM.bulkPrefix:
        this.bulk(start);
        return;
      case FORM.vectorPrefix:
        this.vector();
        return;
      default:
        throw unsupported(`the instruction 0x${opcode.toString(16).padStart(2, "0")}`);
    }
  }

  private memoryAccess(): void {
    // Alignments of 64 and more are flags: another memory, or something later than this reader.
    if (this.from.u32() >= 64) throw unsupported("several memories");
    this.space.memory(0);
    this.from.u32();
  }

  private tryTable(): void {
    const { from } = this;
    blockType(from, this.space);
    for (let clauses = from.count(); clauses > 0; clauses--) {
      const kind = from.byte();
      if (kind > 0x03) throw malformed("a catch clause of an unknown kind");
      if (kind <= 0x01) this.space.tag(from.u32());
      from.u32();
    }
    this.enter(false);
  }

  private bulk(start: number): void {
    const { from, space } = this;
    const opcode = from.u32();
    if (opcode > 17) throw unsupported(`the instruction 0xfc 0x${opcode.toString(16)}`);
    switch (opcode) {
      case 8: // memory.init
        from.u32();
        space.memory(from.u32());
        break;
      case 9: // data.drop
      case 13: // elem.drop
        from.u32();
        return;
      case 10: // memory.copy
        space.memory(from.u32());
        space.memory(from.u32());
        break;
      case 11: // memory.fill
        space.memory(from.u32());
        break;
      case 12: // table.init
        from.u32();
        space.table(from.u32());
        break;
      case 14: // table.copy
        space.table(from.u32());
        space.table(from.u32());
        break;
      case 15: // table.grow
        space.table(from.u32());
        this.insert(start, () => {
          this.to.byte(0x41);
          this.to.i32(TABLE_GROW_LENGTH);
          this.call(ADDED.bulk);
          this.to.byte(0x1a);
        });
        break;
      case 16: // table.size
        space.table(from.u32());
        return;
      case 17: // table.fill
        space.table(from.u32());
        break;
      default:
        return; // saturating conversions
    }
    // The length is on top of the stack.
    this.insert(start, () => this.call(ADDED.bulk));
  }

  private vector(): void {
    const { from } = this;
    const opcode = from.u32();
    const immediate = vectorImmediate(opcode);
    if (immediate === null) throw unsupported(`the instruction 0xfd 0x${opcode.toString(16)}`);
    if (immediate.access) this.memoryAccess();
    from.skip(immediate.bytes);
  }

  private enter(isLoop: boolean): void {
    this.blocks.push(isLoop);
    atMost("depth", this.blocks.length, "blocks in each other");
  }

  private leave(): void {
    const isLoop = this.blocks.pop();
    if (isLoop || this.blocks.length === 0) this.leaveRegion();
  }

  private enterRegion(): void {
    this.copyTo(this.from.offset);
    this.regions.push({ amountAt: this.to.size + this.charge.amountAt, instructions: 0 });
    this.to.append(this.charge.bytes);
  }

  private leaveRegion(): void {
    const region = this.regions.pop();
    if (region === undefined) throw malformed("an end without a beginning");
    this.to.patch(region.amountAt, REGION_COST + (region.instructions >> INSTRUCTIONS_PER_UNIT_BITS));
  }

  private count(): void {
    const region = this.regions[this.regions.length - 1];
    if (region === undefined) throw malformed("an end without a beginning");
    region.instructions++;
    atMost("regionInstructions", region.instructions, "instructions in one function or loop");
  }

  /** Puts an opcode with an index in the place of the instruction that began at `start`. */
  private replace(start: number, opcode: number, index: number): void {
    this.copyTo(start);
    this.to.byte(opcode);
    this.to.u32(index);
    this.copied = this.from.offset;
  }

  /** Puts something before the instruction that began at `start`. */
  private insert(start: number, write: () => void): void {
    this.copyTo(start);
    write();
  }

  private call(added: number): void {
    this.to.byte(0x10);
    this.to.u32(this.space.added(added));
  }

  private copyTo(end: number): void {
    if (end > this.copied) this.to.append(this.from.between(this.copied, end));
    this.copied = end;
  }
}
