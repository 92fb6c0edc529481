import { type Cursor, malformed, unsupported } from "../component/cursor.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { copyConstant } from "./constant-expression.ts";
import type { ModuleSpace } from "./module-space.ts";
import { isReferenceType } from "./value-type.ts";

/** Copies one element segment (core specification, 5.5.12), moving function indexes. */
export function copyElement(from: Cursor, to: ByteWriter, space: ModuleSpace): void {
  const mode = from.u32();
  if (mode > 7) throw malformed("an element segment of an unknown kind");
  to.u32(mode);
  const isActive = (mode & 1) === 0;
  const hasKind = (mode & 3) !== 0;
  const hasExpressions = (mode & 4) !== 0;
  if (isActive) {
    if ((mode & 2) !== 0) to.u32(space.table(from.u32()));
    copyConstant(from, to, space);
  }
  if (hasKind) {
    const kind = from.byte();
    if (hasExpressions ? !isReferenceType(kind) : kind !== 0x00) throw unsupported("typed references");
    to.byte(kind);
  }
  const count = from.count();
  to.u32(count);
  for (let left = count; left > 0; left--)
    if (hasExpressions) copyConstant(from, to, space);
    else to.u32(space.function(from.u32()));
}
