import { messageOf } from "../core/errors.ts";
import { LedgerError } from "./errors.ts";
import { findReceipt, proveEntry } from "./prove.ts";
import { openLedgerFile } from "./verify/open-file.ts";

/**
 * The proof of a receipt from a ledger file alone; null when the receipt is not in it. Throws `ledger_unreadable`,
 * `ledger_damaged`, and `not_checkpointed` when no checkpoint covers it: a new one needs the gate's key.
 */
export function proveFromFile(path: string, receiptId: string): string | null {
  const file = openLedgerFile(path);
  try {
    const seq = findReceipt(file.db, receiptId);
    if (seq === null) return null;
    const proof = proveEntry(file.db, seq);
    if (proof !== null) return proof;
  } catch (cause) {
    if (cause instanceof LedgerError) throw cause;
    throw new LedgerError("ledger_unreadable", `${path} cannot be proven from: ${messageOf(cause)}`, {
      hint: "a ledger of an earlier version gets its tree when a gate starts on it",
      cause,
    });
  } finally {
    file.close();
  }
  throw new LedgerError("not_checkpointed", "no checkpoint in this file covers the receipt", {
    hint: "ask the running gate, or stop it: it signs a checkpoint when it ends",
  });
}
