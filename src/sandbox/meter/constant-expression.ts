import { type Cursor, unsupported } from "../component/cursor.ts";
import type { ByteWriter } from "./byte-writer.ts";
import type { ModuleSpace } from "./module-space.ts";
import { isReferenceType } from "./value-type.ts";

/** Copies a constant expression (core specification, 3.3.10, with extended constants), moving function indexes. */
export function copyConstant(from: Cursor, to: ByteWriter, space: ModuleSpace): void {
  for (;;) {
    const start = from.offset;
    const opcode = from.byte();
    switch (opcode) {
      case 0x0b:
        to.byte(opcode);
        return;
      case 0xd2:
        to.byte(opcode);
        to.u32(space.function(from.u32()));
        continue;
      case 0x23:
        space.global(from.u32());
        break;
      case 0x41:
        from.skipSigned(32);
        break;
      case 0x42:
        from.skipSigned(64);
        break;
      case 0x43:
        from.skip(4);
        break;
      case 0x44:
        from.skip(8);
        break;
      case 0xd0:
        if (!isReferenceType(from.byte())) throw unsupported("typed references");
        break;
      case 0xfd:
        if (from.u32() !== 12) throw unsupported("a constant that is computed");
        from.skip(16);
        break;
      case 0x6a:
      case 0x6b:
      case 0x6c:
      case 0x7c:
      case 0x7d:
      case 0x7e:
        break; // addition, subtraction, multiplication
      default:
        throw unsupported("a constant that is computed");
    }
    to.append(from.between(start, from.offset));
  }
}
