import { cosignaturesHold, cosignedBy, type WitnessKey } from "../anchor/cosignature.ts";
import { checkpointOrigin } from "../checkpoint.ts";
import type { EntryPayload } from "../entry/entry.ts";
import type { DamageLog } from "./report.ts";

/** What entries may say about anchors: a checkpoint before them, cosigned by the keys they name, as many as it took. */
export class AnchorRules {
  private readonly damage: DamageLog;
  private readonly witnesses: readonly WitnessKey[];
  private readonly from: number;
  /** Hex roots of the checkpoints that were found to be those of the entries. */
  private readonly roots = new Map<number, string>();
  /** The largest size that every witness whom the auditor named has cosigned. */
  anchoredTo: number | null = null;

  /** @param from entries that are not looked at: checkpoints of their sizes are not known */
  constructor(damage: DamageLog, witnesses: readonly WitnessKey[], from = 0) {
    this.damage = damage;
    this.witnesses = witnesses;
    this.from = from;
  }

  /** A checkpoint whose root was recomputed. */
  checkpoint(size: number, root: Buffer): void {
    this.roots.set(size, root.toString("hex"));
  }

  take(entry: EntryPayload): void {
    if (entry.type !== "checkpoint.anchored" || entry.size < this.from) return;
    const origin = checkpointOrigin(entry.log);
    if (this.roots.get(entry.size) !== entry.root) {
      this.damage.add("checkpoint", entry.seq, "the anchored checkpoint is not one of this log");
      return;
    }
    if (!cosignaturesHold(origin, entry)) {
      this.damage.add("signature", entry.seq, "a cosignature is not valid");
      return;
    }
    const keys = new Set(entry.cosignatures.map(({ public_key }) => public_key));
    if (keys.size < Math.max(1, entry.quorum) || keys.size !== entry.cosignatures.length)
      this.damage.add("rules", entry.seq, "a checkpoint is called anchored without its quorum of witnesses");
    const known = cosignedBy(origin, entry, this.witnesses);
    if (known.length > 0 && known.length === this.witnesses.length)
      this.anchoredTo = Math.max(this.anchoredTo ?? 0, entry.size);
  }
}
