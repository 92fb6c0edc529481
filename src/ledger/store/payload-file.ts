import { Database } from "bun:sqlite";
import { existsSync } from "node:fs";
import { LedgerError } from "../errors.ts";
import { PayloadReader } from "./payloads.ts";

/** A file of stored payloads, for the verifier to ask. Throws `ledger_unreadable`. */
export function openPayloadFile(path: string): { holds(commitment: string): boolean; close(): void } {
  if (!existsSync(path)) throw new LedgerError("ledger_unreadable", `there is no file ${path}`);
  let db: Database;
  let reader: PayloadReader;
  try {
    db = new Database(path, { readonly: true, strict: true });
    reader = new PayloadReader(db);
  } catch (cause) {
    throw new LedgerError("ledger_unreadable", `${path} does not hold payloads`, { cause });
  }
  return {
    holds: (commitment) => {
      try {
        reader.read(commitment);
        return true;
      } catch (error) {
        if (error instanceof LedgerError && error.code === "payload_missing") return false;
        throw error;
      }
    },
    close: () => db.close(),
  };
}
