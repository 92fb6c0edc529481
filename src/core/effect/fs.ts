import type { FsOperation } from "../plan.ts";
import type { EffectEnd } from "./reached.ts";

export interface FsEffect extends EffectEnd {
  readonly kind: "fs";
  readonly operation: FsOperation;
  /** Canonical path relative to the root, to be committed to and not shown. */
  readonly path: string;
  /** Decimal text, as inode numbers pass 2^53. */
  readonly device: string | null;
  readonly inode: string | null;
  readonly beforeHash: string | null;
  readonly afterHash: string | null;
  readonly bytesBefore: number | null;
  readonly bytesAfter: number | null;
}
