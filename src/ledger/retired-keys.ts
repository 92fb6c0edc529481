import type { KeyHistory } from "../keys/history.ts";
import { type Overlap, overlappingKeys } from "./checkpoint-keys.ts";
import type { Keyring } from "./keyring.ts";

/**
 * Destroys the private halves of keys that the log says are retired. Run after the entry that retires one is durable,
 * and at each start, so that a crash in between leaves none. Files that the log does not know are left alone: the log
 * may be another one than they belong to. The recovery key is the operator's to move away.
 */
export function destroyRetiredKeys(history: KeyHistory, keyring: Keyring, overlap: Overlap): void {
  const overlapping = new Set(overlappingKeys(history, overlap).map(({ kid }) => kid));
  for (const { purpose, kid, validToSeq } of history.all())
    if (purpose !== "recovery" && validToSeq !== null && !overlapping.has(kid)) keyring.destroy(purpose, kid);
}
