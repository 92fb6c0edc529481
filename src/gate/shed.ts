import { rfc3339 } from "../core/clock.ts";
import type { EntryBody } from "../ledger/entry/types.ts";

/** Distinct (peer, reason) pairs that one window keeps apart; the rest is counted together. */
const LONGEST = 512;

/**
 * Counts of refusals that leave no entry each: load that was shed, failed authentication, denials beyond a
 * principal's share. They reach the log as signed summaries, so that no agent can fill the disk with refusals.
 */
export class Shed {
  private counts = new Map<string, { peer: string; reason: string; count: number }>();
  private sinceMs: number;
  private minute = 0;
  private perPrincipal = new Map<string, number>();
  private readonly now: () => number;
  private readonly denialsPerMinute: number;

  constructor(now: () => number, denialsPerMinute: number) {
    this.now = now;
    this.sinceMs = now();
    this.denialsPerMinute = denialsPerMinute;
  }

  count(peer: string, reason: string): void {
    const full = this.counts.size >= LONGEST;
    const key = `${peer}\n${reason}`;
    const known = this.counts.get(key);
    if (known !== undefined) known.count++;
    else if (!full) this.counts.set(key, { peer, reason, count: 1 });
    else {
      const rest = this.counts.get("others") ?? { peer: "others", reason: "others", count: 0 };
      rest.count++;
      this.counts.set("others", rest);
    }
  }

  /** Whether this principal's denial still gets an entry of its own this minute. */
  admitDenial(tenant: string, principal: string): boolean {
    const minute = Math.floor(this.now() / 60_000);
    if (minute !== this.minute) {
      this.minute = minute;
      this.perPrincipal = new Map();
    }
    const key = `${tenant} ${principal}`;
    const used = this.perPrincipal.get(key) ?? 0;
    if (used >= this.denialsPerMinute) return false;
    this.perPrincipal.set(key, used + 1);
    return true;
  }

  /** What was counted since the last time; null when nothing was. */
  take(): EntryBody<"shed.summary"> | null {
    if (this.counts.size === 0) return null;
    const counts = [...this.counts.values()];
    const until = this.now();
    const body = { since: rfc3339(this.sinceMs), until: rfc3339(until), counts };
    this.counts = new Map();
    this.sinceMs = until;
    return body;
  }
}
