import type { KeyHistory, RepudiatedRange } from "../../keys/history.ts";

export interface Repudiated {
  /** Entries, each counted once. */
  readonly entries: number;
  readonly ranges: readonly RepudiatedRange[];
  /** Sizes of stored checkpoints. */
  readonly checkpoints: readonly number[];
  /** For the summary; empty when there is nothing to say. */
  readonly remark: string;
}

/** What revoked keys have said beyond where their word stands. Known only at the end: a revocation comes after it. */
export class Repudiations {
  /** Sizes of well-signed checkpoints by the key that signed them. */
  private readonly checkpoints = new Map<string, number[]>();

  checkpoint(size: number, kid: string): void {
    const sizes = this.checkpoints.get(kid);
    if (sizes === undefined) this.checkpoints.set(kid, [size]);
    else sizes.push(size);
  }

  of(history: KeyHistory | null, size: number): Repudiated {
    const ranges = (history?.repudiated() ?? []).map(({ kid, from, to }) => ({
      kid,
      from,
      to: Math.min(to, size - 1),
    }));
    const checkpoints = (history?.all() ?? [])
      .flatMap(({ kid, standsToSize }) =>
        standsToSize === null ? [] : (this.checkpoints.get(kid) ?? []).filter((one) => one > standsToSize),
      )
      .sort((a, b) => a - b);
    const entries = covered(ranges);
    const remark = entries === 0 ? "" : `; ${entries} entries are repudiated: their key has been revoked`;
    return { entries, ranges, checkpoints, remark };
  }

  /** Whether this evidence key came in by an entry that nobody vouches for. */
  isTainted(history: KeyHistory | null, kid: string): boolean {
    const from = history?.all().find((key) => key.kid === kid)?.validFromSeq ?? 0;
    return from > 0 && (history?.isRepudiated(from - 1) ?? false) && (history?.isRepudiated(from) ?? false);
  }
}

/** How many positions the ranges cover together. */
function covered(ranges: readonly RepudiatedRange[]): number {
  let next = 0;
  let count = 0;
  for (const { from, to } of [...ranges].sort((a, b) => a.from - b.from)) {
    const start = Math.max(from, next);
    if (to < start) continue;
    count += to - start + 1;
    next = to + 1;
  }
  return count;
}
