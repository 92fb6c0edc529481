import { LruMap } from "../core/lru-map.ts";
import { LedgerError } from "../ledger/errors.ts";
import type { LedgerReader } from "../ledger/reader.ts";

/** Where a session's folder lies. */
export interface SessionRoot {
  /** The allowed folder, absolute; the broker holds it open. */
  readonly allowed: string;
  /** Way from there to the session's folder, empty when it is that folder. */
  readonly below: string;
}

/** The nearest allowed folder at or above a canonical path; null when it is outside of all of them. */
export function sessionRoot(allowed: readonly string[], path: string): SessionRoot | null {
  let nearest: string | null = null;
  for (const root of allowed)
    if (path === root || path.startsWith(`${root}/`))
      if (nearest === null || root.length > nearest.length) nearest = root;
  return nearest === null ? null : { allowed: nearest, below: path.slice(nearest.length + 1) };
}

/** Sessions whose folder is kept at hand; others are read again. */
const KEPT = 1024;

/** The folders of sessions that have one of their own. State has only commitments to them; the paths are payloads. */
export class SessionRoots {
  private readonly reader: Pick<LedgerReader, "payload">;
  private readonly paths = new LruMap<string, string>(KEPT);

  constructor(reader: Pick<LedgerReader, "payload">) {
    this.reader = reader;
  }

  /** The path that a commitment names, null when its payload is gone. It has been compared with the commitment. */
  path(commitment: string): string | null {
    const known = this.paths.get(commitment);
    if (known !== undefined) return known;
    try {
      const path = Buffer.from(this.reader.payload(commitment).bytes).toString();
      this.paths.set(commitment, path);
      return path;
    } catch (error) {
      if (error instanceof LedgerError && error.code === "payload_missing") return null;
      throw error;
    }
  }
}
