import { ProofSet } from "./proof-set.ts";

/**
 * Log time for which a proof is remembered, at least. The gate takes none that is older than 60 s or more than 5 s
 * ahead of its clock, so what comes back later than this could not have been granted: it would show as another proof.
 */
const KEPT_MS = 300_000;

/** Proofs that were granted of late, in memory that depends on the rate of calls and not on the length of the log. */
export class RecentProofs {
  private recent = new ProofSet();
  private before = new ProofSet();
  private since = Number.NEGATIVE_INFINITY;

  /** Whether this is the first time; `time` is that of the entry, RFC 3339. A clock that goes back forgets nothing. */
  first(proof: string, time: string): boolean {
    const now = Date.parse(time);
    if (now - this.since >= KEPT_MS) {
      this.before = now - this.since >= 2 * KEPT_MS ? new ProofSet() : this.recent;
      this.recent = new ProofSet();
      this.since = now;
    }
    if (this.recent.has(proof) || this.before.has(proof)) return false;
    this.recent.add(proof);
    return true;
  }
}
