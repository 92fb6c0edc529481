import { fromBase64url } from "../../core/bytes.ts";
import type { KeyHistory } from "../../keys/history.ts";
import { type Checkpoint, checkpointOrigin, checkpointSignedBy, parseCheckpoint } from "../checkpoint.ts";
import type { CompactTree } from "../tree.ts";
import type { StoredCheckpoint } from "./log-verifier.ts";
import type { DamageLog } from "./report.ts";

/** Where the log is. */
export interface LogPlace {
  readonly log: string | null;
  readonly tree: CompactTree;
  readonly history: KeyHistory | null;
}

/** Holds the stored checkpoints against the roots that are recomputed, one after the other as the log grows. */
export class StoredCheckpoints {
  private readonly stored: Iterator<StoredCheckpoint>;
  private readonly damage: DamageLog;
  private next: StoredCheckpoint | null;
  /** Sizes that the log had passed when their turn came. */
  private readonly strays: number[] = [];
  /** How many were held against a root. */
  checked = 0;

  /** @param stored by size, smallest first */
  constructor(stored: Iterable<StoredCheckpoint>, damage: DamageLog) {
    this.stored = stored[Symbol.iterator]();
    this.damage = damage;
    this.next = this.following();
  }

  private following(): StoredCheckpoint | null {
    const { done, value } = this.stored.next();
    return done === true ? null : value;
  }

  /**
   * Called when the tree has a leaf more, that of the entry at `seq`. Gives the root when a checkpoint of this size
   * was found to be right.
   */
  at(seq: number, place: LogPlace): Buffer | null {
    const { size } = place.tree;
    while (this.next !== null && this.next.size < size) {
      this.strays.push(this.next.size);
      this.next = this.following();
    }
    if (this.next?.size !== size) return null;
    const stored = this.next;
    this.next = this.following();
    this.checked++;
    const root = place.tree.root();
    const parsed = parseCheckpoint(stored.note)?.checkpoint ?? null;
    if (!root.equals(stored.root) || parsed === null || !names(parsed, place, root))
      this.damage.add("checkpoint", seq, "the checkpoint has another root than the entries");
    else if (!signedByCheckpointKey(stored.note, place.history))
      this.damage.add("signature", seq, "the checkpoint's signature is not valid");
    else return root;
    return null;
  }

  /** To be asked once, after the last entry of a log of that size. */
  finish(size: number): void {
    for (; this.next !== null; this.next = this.following()) this.strays.push(this.next.size);
    for (const stray of this.strays)
      this.damage.add("checkpoint", null, `a checkpoint covers ${stray} entries; the log has ${size}`);
  }
}

function names(checkpoint: Checkpoint, { log, tree }: LogPlace, root: Buffer): boolean {
  return (
    checkpoint.size === tree.size &&
    checkpoint.root.equals(root) &&
    checkpoint.origin === checkpointOrigin(log ?? "")
  );
}

/** By the key in force at that size: a retired one speaks for nothing that came after it. */
function signedByCheckpointKey(note: string, history: KeyHistory | null): boolean {
  const key = history?.current("checkpoint");
  const publicKey = key === undefined ? null : (history?.publicKey(key.kid) ?? null);
  const raw = key === undefined ? null : fromBase64url(key.jwk.x);
  return publicKey !== null && raw !== null && checkpointSignedBy(note, publicKey, raw);
}
