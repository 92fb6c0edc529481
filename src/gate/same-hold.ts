import type { HoldRow } from "../approvals/state.ts";
import type { EntryPayload } from "../ledger/entry/entry.ts";

export type HeldEntry = Extract<EntryPayload, { readonly type: "call.held" }>;

/** Whether a row of the table of holds says what its signed entry says. Nothing rests on a row that does not. */
export function isSameHold(entry: HeldEntry, hold: HoldRow): boolean {
  return (
    entry.seq === hold.seq &&
    entry.approval_id === hold.approval_id &&
    entry.trace_id === hold.trace_id &&
    entry.call.commitment === hold.call &&
    entry.call.bytes === hold.call_bytes &&
    entry.tenant === hold.tenant &&
    entry.principal === hold.principal &&
    entry.session_id === hold.session_id &&
    entry.jkt === hold.jkt &&
    entry.action_id === hold.action_id &&
    entry.action_version === hold.action_version &&
    entry.action_digest === hold.action_digest &&
    entry.quorum === hold.quorum &&
    entry.epoch === hold.epoch &&
    Date.parse(entry.expires) === hold.expires_ms
  );
}
