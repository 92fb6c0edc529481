import type { FollowedEntry } from "../entry/followed.ts";
import type { DamageLog } from "./report.ts";

/** Order is by position; a clock that went back is no damage when the log itself says so before it goes on. */
export class EntryTimes {
  private readonly damage: DamageLog;
  private latest = 0;
  private announced = false;

  constructor(damage: DamageLog) {
    this.damage = damage;
  }

  /** Whether the entry's time stands before an earlier one's. */
  take(entry: FollowedEntry, time: number): boolean {
    if (entry.type === "clock.regressed") {
      if (Date.parse(entry.high_water) <= time || Date.parse(entry.high_water) < this.latest)
        this.damage.add("rules", entry.seq, "the entry tells of a clock that did not go back");
      this.announced = true;
    }
    if (time >= this.latest) {
      this.latest = time;
      if (entry.type !== "clock.regressed") this.announced = false;
      return false;
    }
    if (!this.announced)
      this.damage.add("rules", entry.seq, "the clock went back, and the log does not say so");
    return true;
  }
}
