import type { EntryBody } from "../../ledger/entry/types.ts";
import type { Appended, LedgerTransaction } from "../../ledger/writer.ts";
import { type UsedProof, useProof } from "./state.ts";

export interface DenyInput {
  readonly body: EntryBody<"call.denied">;
  readonly proof: UsedProof;
}

/** Records a refusal. The proof it came with is used up by it. */
export function denyCall(tx: LedgerTransaction, input: DenyInput): Appended {
  useProof(tx.db, input.proof);
  return tx.append("call.denied", input.body);
}
