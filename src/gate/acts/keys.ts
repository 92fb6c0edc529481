import type {
  PreparedRevocation,
  RevocationRefused,
  RevokedKey,
  WantedRevocation,
} from "../../ledger/revoker.ts";
import type { LedgerTransaction } from "../../ledger/writer.ts";

/** First half of a revocation: looks whether it can be, and makes the key that will take over. */
export function prepareRevocation(
  tx: LedgerTransaction,
  input: WantedRevocation,
): PreparedRevocation | RevocationRefused {
  return tx.prepareRevocation(input);
}

/** Second half: the recovery key's signed statement. The statement is its own authority; no session stands behind it. */
export function revokeKey(
  tx: LedgerTransaction,
  input: { readonly statement: string },
): RevokedKey | RevocationRefused {
  return tx.revoke(input.statement);
}
