import type { Gate } from "../gate/gate.ts";
import { parseCheckpoint } from "../ledger/checkpoint.ts";

export interface NewestCheckpoint {
  readonly size: number;
  /** The signed note. */
  readonly note: string;
  /** What signatures are over. */
  readonly text: string;
}

/** The newest stored checkpoint; null before the first. Throws when it is not what its row says. */
export function newestCheckpoint({ reader }: Gate): NewestCheckpoint | null {
  const row = reader.db
    .query<{ size: number; note: string }, []>(
      "SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1",
    )
    .get();
  if (row === null) return null;
  const parsed = parseCheckpoint(row.note);
  if (parsed?.checkpoint.size !== row.size) throw new Error("the stored checkpoint is of another size");
  return { ...row, text: parsed.text };
}
