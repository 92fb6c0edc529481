import type { Database } from "bun:sqlite";
import { messageOf } from "../core/errors.ts";
import { LedgerError } from "./errors.ts";
import { findReceipt, proveEntry } from "./prove.ts";
import { proveConsistency, type WantedCheckpoint } from "./prove-consistency.ts";
import { openLedgerFile } from "./verify/open-file.ts";

/**
 * The proof of a receipt from a ledger file alone; null when the receipt is not in it. Throws `ledger_unreadable`,
 * `ledger_damaged`, and `not_checkpointed` when no checkpoint covers it: a new one needs the gate's key.
 */
export function proveFromFile(path: string, receiptId: string): string | null {
  const proof = provenFrom(path, (db) => {
    const seq = findReceipt(db, receiptId);
    return seq === null ? "no receipt" : { proof: proveEntry(db, seq) };
  });
  if (proof === "no receipt") return null;
  if (proof.proof !== null) return proof.proof;
  throw new LedgerError("not_checkpointed", "no checkpoint in this file covers the receipt", {
    hint: "ask the running gate, or stop it: it signs a checkpoint when it ends",
  });
}

/** That one checkpoint extends another, from a ledger file alone. Throws `ledger_unreadable`, and as {@link proveConsistency}. */
export function proveConsistencyFromFile(
  path: string,
  older: WantedCheckpoint,
  newer: WantedCheckpoint | null,
): string {
  return provenFrom(path, (db) => proveConsistency(db, older, newer));
}

function provenFrom<T>(path: string, prove: (db: Database) => T): T {
  const file = openLedgerFile(path);
  try {
    return prove(file.db);
  } catch (cause) {
    if (cause instanceof LedgerError) throw cause;
    throw new LedgerError("ledger_unreadable", `${path} cannot be proven from: ${messageOf(cause)}`, {
      hint: "a ledger of an earlier version gets its tree when a gate starts on it",
      cause,
    });
  } finally {
    file.close();
  }
}
