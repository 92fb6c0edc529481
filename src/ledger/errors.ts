import { LatchGateError } from "../core/errors.ts";

/**
 * `ledger_locked`, `ledger_damaged`, `ledger_unsupported`, `ledger_failed`, `ledger_closed`, `ledger_unreadable`,
 * `entry_repudiated`, `payload_missing`, `timestamp_malformed`, `ledger_mirror_failed`, `ledger_rolled_back`,
 * `not_checkpointed`.
 */
export class LedgerError extends LatchGateError {}
