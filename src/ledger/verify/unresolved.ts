import type { EntryPayload } from "../entry/entry.ts";
import { LedgerError } from "../errors.ts";
import { LogVerifier, type StoredEntry } from "./log-verifier.ts";
import { type OpenFile, openLedgerFile } from "./open-file.ts";
import { entryRow, type Raw } from "./rows.ts";

type Granted = Extract<EntryPayload, { readonly type: "call.granted" }>;

/**
 * The grants of a ledger file that have no receipt, in order, by the signed entries alone: the tables beside them are
 * not asked. Throws `ledger_unreadable`, and `ledger_damaged` where an entry is not what it should be.
 */
export function readUnresolved(path: string): readonly Granted[] {
  let file: OpenFile;
  try {
    file = openLedgerFile(path);
  } catch (cause) {
    if (cause instanceof LedgerError) throw cause;
    throw new LedgerError("ledger_unreadable", `${path} is not a ledger`, { cause });
  }
  try {
    const verifier = new LogVerifier([]);
    const open = new Map<string, Granted>();
    for (const row of file.db.query<Raw<StoredEntry>, []>("SELECT * FROM entries ORDER BY seq").iterate()) {
      const entry = verifier.take(entryRow(row));
      if (entry?.type === "call.granted") open.set(entry.grant_id, entry);
      if (entry?.type === "call.receipt") open.delete(entry.grant_id);
    }
    const { first_damage: damage, summary } = verifier.finish({ fingerprints: new Set() }, false);
    if (damage !== null)
      throw new LedgerError("ledger_damaged", summary, { hint: "run latchgate verify on the file" });
    return [...open.values()];
  } finally {
    file.close();
  }
}
