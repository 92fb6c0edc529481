import { LruMap } from "../core/lru-map.ts";
import { LedgerError } from "../ledger/errors.ts";
import type { LedgerReader } from "../ledger/reader.ts";

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
