/** Wall time, in milliseconds since the epoch, and a monotonic counter for durations. */
export interface Clock {
  /** Milliseconds since 1970-01-01T00:00:00Z, an integer. */
  now(): number;
  /** Milliseconds since an arbitrary start; never goes back. */
  monotonic(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};

/** A clock whose wall time starts no earlier than `highWater` and never goes back: for everything that expires. */
export function forwardClock(clock: Clock, highWater: number): Clock {
  let latest = highWater;
  return {
    now: () => {
      latest = Math.max(latest, clock.now());
      return latest;
    },
    monotonic: () => clock.monotonic(),
  };
}

/** RFC 3339 in UTC with exactly three fraction digits, as entries carry it. */
export function rfc3339(ms: number): string {
  return new Date(ms).toISOString();
}

/** Times that are there without a look at the calendar: all but those of the last days of a month. */
const PLAIN = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/;
const RFC3339_MS = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

/** Reads what {@link rfc3339} writes and nothing else; null for any other text. */
export function parseRfc3339(text: string): number | null {
  if (PLAIN.test(text)) return Date.parse(text);
  if (!RFC3339_MS.test(text)) return null;
  const ms = Date.parse(text);
  return Number.isFinite(ms) && rfc3339(ms) === text ? ms : null;
}
