import { cosignaturesHold, cosignedBy, type WitnessKey } from "../anchor/cosignature.ts";
import {
  certificateDigest,
  isOf,
  signerName,
  type TimestampAuthority,
} from "../anchor/timestamp/authority.ts";
import { type EntryStamp, stampsOf } from "../anchor/timestamp/stamped.ts";
import type { TimestampToken } from "../anchor/timestamp/token.ts";
import { checkpointOrigin } from "../checkpoint.ts";
import type { FollowedEntry } from "../entry/followed.ts";
import { KeptStamps } from "./kept-stamps.ts";
import type { DamageLog, TimestampedTo } from "./report.ts";

type Anchored = Extract<FollowedEntry, { readonly type: "checkpoint.anchored" }>;

/** Those whose word about a log the auditor relies on. */
export interface AnchorParties {
  readonly witnesses: readonly WitnessKey[];
  readonly authorities: readonly TimestampAuthority[];
  /** Time stamps by these authorities that the auditor kept. */
  readonly kept?: readonly TimestampToken[];
}

/** What entries may say about anchors: a checkpoint before them, signed by the keys they name, as many as it took. */
export class AnchorRules {
  private readonly damage: DamageLog;
  private readonly parties: AnchorParties;
  private readonly from: number;
  /** Hex roots of the checkpoints that were found to be those of the entries. */
  private readonly roots = new Map<number, string>();
  /** The largest size that every witness and every authority that the auditor named has signed. */
  private anchoredTo: number | null = null;
  private readonly kept: KeptStamps;
  private readonly stamped = new Map<TimestampAuthority, TimestampedTo>();

  /** @param from entries that are not looked at: checkpoints of their sizes are not known */
  constructor(damage: DamageLog, parties: AnchorParties, from = 0) {
    this.damage = damage;
    this.parties = parties;
    this.kept = new KeptStamps(parties.kept ?? [], damage);
    this.from = from;
  }

  /** A checkpoint whose root was recomputed. */
  checkpoint(origin: string, size: number, root: Buffer): void {
    this.kept.checkpoint(origin, size, root);
    this.roots.set(size, root.toString("hex"));
  }

  take(entry: FollowedEntry): void {
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
    const stamps = stampsOf(origin, entry);
    if (stamps === null) {
      this.damage.add("signature", entry.seq, "a time stamp is not valid");
      return;
    }
    const signers = new Set(
      entry.cosignatures.map((one) => ("public_key" in one ? one.public_key : one.certificate)),
    );
    if (signers.size < Math.max(1, entry.quorum) || signers.size !== entry.cosignatures.length)
      this.damage.add("rules", entry.seq, "a checkpoint is called anchored without its quorum of signers");
    const { witnesses, authorities } = this.parties;
    const stamped = authorities.filter((authority) => this.isStamped(authority, stamps, entry));
    const known = cosignedBy(origin, entry, witnesses).length + stamped.length;
    if (known > 0 && known === witnesses.length + authorities.length)
      this.anchoredTo = Math.max(this.anchoredTo ?? 0, entry.size);
  }

  /** Whether a stamp is this authority's; remembered for the largest size. */
  private isStamped(authority: TimestampAuthority, stamps: readonly EntryStamp[], entry: Anchored): boolean {
    const stamp = stamps.find(({ token }) => isOf(authority, token));
    if (stamp === undefined) return false;
    const { token } = stamp;
    const before = this.stamped.get(authority);
    if (before === undefined || before.size <= entry.size)
      this.stamped.set(authority, {
        size: entry.size,
        time: new Date(token.time).toISOString(),
        by: signerName(token),
        certificate: certificateDigest(token.signer),
        log_time: entry.time,
      });
    return true;
  }

  /** When all entries were taken. Gives the largest size that an auditor's stamp, or all parties in an entry, bear out. */
  finish(): number | null {
    this.kept.finish();
    const reached = [this.anchoredTo, this.kept.reached].filter((size) => size !== null);
    return reached.length === 0 ? null : Math.max(...reached);
  }

  /** For each authority that the auditor named and that has signed: the largest size, and when. */
  timestamps(): readonly TimestampedTo[] {
    return [...this.stamped.values()];
  }
}
