import type { Database } from "bun:sqlite";
import { rfc3339 } from "../core/clock.ts";
import type { EntryBody, EntryType } from "./entry/types.ts";

export interface ReadTime {
  /** What the clock says, milliseconds; what entries carry. */
  readonly wall: number;
  /** Never before what the log has seen; what things expire by. */
  readonly effective: number;
}

/** How far the high-water mark may run ahead of its stored value, milliseconds, while no entry is written. */
const STORED_EVERY_MS = 60_000;

/**
 * The log's view of time. The latest time it has seen is kept in its entries and, while it writes none, in its state,
 * so that setting the clock back, even over a restart, makes nothing live longer.
 */
export class LogClock {
  private readonly db: Database;
  private readonly now: () => number;
  private high: number;
  private stored: number;
  /** The latest time of an entry, and whether the log has said that the clock stands before it. */
  private lastEntry: number;
  private announced = false;

  constructor(db: Database, now: () => number) {
    this.db = db;
    this.now = now;
    const meta = db.query<{ value: string }, []>("SELECT value FROM meta WHERE name = 'clock_high'").get();
    const last = db.query<{ ms: number | null }, []>("SELECT max(time_ms) AS ms FROM entries").get();
    this.lastEntry = last?.ms ?? 0;
    this.stored = Number(meta?.value ?? 0);
    this.high = Math.max(this.lastEntry, this.stored);
  }

  get highWater(): number {
    return this.high;
  }

  read(): ReadTime {
    const wall = this.now();
    return { wall, effective: Math.max(wall, this.high) };
  }

  /** Inside the transaction of a group: takes its time, and gives what the log must say first, if anything. */
  take({ wall, effective }: ReadTime): EntryBody<"clock.regressed"> | null {
    this.high = Math.max(this.high, effective);
    if (this.high - this.stored >= STORED_EVERY_MS) {
      this.db
        .query("INSERT OR REPLACE INTO meta (name, value) VALUES ('clock_high', ?)")
        .run(String(this.high));
      this.stored = this.high;
    }
    if (wall >= this.lastEntry || this.announced) return null;
    this.announced = true;
    return { high_water: rfc3339(this.high) };
  }

  /** An entry has been written; kept exactly as the verifier keeps it, who sees entries alone. */
  appended(type: EntryType, wall: number): void {
    if (wall < this.lastEntry) return;
    this.lastEntry = wall;
    if (type !== "clock.regressed") this.announced = false;
  }
}
