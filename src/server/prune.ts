import type { PruneInput } from "../gate/acts/prune.ts";
import type { Ledger } from "../gate/ledger.ts";

export interface Pruning {
  readonly payloads: number;
  readonly bytes: number;
}

/** Prunes act by act until nothing older is left, so that calls in between do not wait for all of it. */
export async function pruneBefore(ledger: Ledger, wanted: PruneInput): Promise<Pruning> {
  let [payloads, bytes] = [0, 0];
  for (;;) {
    const pruned = await ledger.act("prunePayloads", wanted);
    payloads += pruned?.payloads ?? 0;
    bytes += pruned?.bytes ?? 0;
    if (pruned === null || !pruned.more) return { payloads, bytes };
  }
}
