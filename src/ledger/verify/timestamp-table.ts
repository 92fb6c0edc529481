import type { Database } from "bun:sqlite";
import { certificateDigest, tokenOver } from "../anchor/timestamp/authority.ts";
import { parseCheckpoint } from "../checkpoint.ts";
import { hasTable } from "./has-table.ts";

interface StampRow {
  readonly certificate: unknown;
  readonly time_ms: unknown;
  readonly token: unknown;
  readonly note: unknown;
}

/**
 * What the table `timestamps` says that does not follow from the stored checkpoints; each of those is checked for
 * itself.
 * @param from leave out what is about trees of this size or smaller
 */
export function timestampFaults(db: Database, from: number): string[] {
  if (!hasTable(db, "timestamps")) return [];
  const rows = db
    .query<StampRow, [number]>(
      `SELECT t.certificate, t.time_ms, t.token, k.note
       FROM timestamps t LEFT JOIN checkpoints k ON k.size = t.size WHERE ?1 = 0 OR t.size > ?1`,
    )
    .iterate(from);
  const faults: string[] = [];
  for (const row of rows) if (!isStamp(row)) faults.push("a stored time stamp is not one of its checkpoint");
  return faults;
}

function isStamp({ certificate, time_ms, token, note }: StampRow): boolean {
  const text = typeof note === "string" ? parseCheckpoint(note)?.text : undefined;
  if (text === undefined || !(token instanceof Uint8Array)) return false;
  const read = tokenOver(text, Buffer.from(token));
  return read !== null && read.time === time_ms && certificateDigest(read.signer) === certificate;
}
