import { createPublicKey } from "node:crypto";
import type { LeaseKey } from "../identity/index.ts";
import type { HistoricalKey } from "../keys/history.ts";
import type { LedgerReader } from "../ledger/reader.ts";

/**
 * Until when a lease key's leases may be good, milliseconds: null while it is in force, else `graceMs` after the entry
 * that replaced it. A key that was revoked, or that only a revoked key vouches for, is good for nothing.
 */
function leaseKeyEnd(reader: LedgerReader, key: HistoricalKey, graceMs: number): number | null {
  const introduced = key.validFromSeq - 1;
  if (key.standsToSize !== null || (introduced >= 0 && reader.isRepudiated(introduced))) return 0;
  if (key.validToSeq === null) return null;
  const replaced = reader.entry(key.validToSeq);
  return replaced?.status === "valid" ? Date.parse(replaced.payload.time) + graceMs : 0;
}

/** Every lease key of the log, with the end of its time. */
export function leaseKeys(reader: LedgerReader, graceMs: number): LeaseKey[] {
  return reader
    .keys()
    .filter((key) => key.purpose === "lease")
    .map((historical) => ({
      key: createPublicKey({ key: { ...historical.jwk }, format: "jwk" }),
      notAfter: leaseKeyEnd(reader, historical, graceMs),
    }));
}

/** The lease keys whose leases may be good at `now`. */
export function goodLeaseKeys(reader: LedgerReader, graceMs: number, now: number): HistoricalKey[] {
  return reader.keys().filter((key) => {
    const end = key.purpose === "lease" ? leaseKeyEnd(reader, key, graceMs) : 0;
    return end === null || now <= end;
  });
}
