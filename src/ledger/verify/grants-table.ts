import type { Database } from "bun:sqlite";
import type { EntryPayload } from "../entry/entry.ts";
import type { FollowedEntry } from "../entry/followed.ts";
import { isText, type PlainEntry } from "../entry/plain-entry.ts";
import type { FileRow, GrantColumns, Raw } from "./rows.ts";

/** The table of grants must say what the entries say: the gate finds receipts and used approvals by it. */
export function grantFault(row: Raw<GrantColumns>, payload: EntryPayload): string | null {
  if (payload.type === "call.granted") {
    const same =
      row.grant_id === payload.grant_id &&
      row.grant_approval === payload.cause.approval_id &&
      row.grant_session === payload.session_id &&
      row.grant_principal === payload.principal;
    return same ? null : "the table of grants does not say what the grant entry says";
  }
  if (payload.type !== "call.receipt") return null;
  const same = row.grant_id === payload.grant_id && row.receipt_id === payload.receipt_id;
  return same ? null : "the table of grants does not say what the receipt entry says";
}

/** Whether {@link grantFault} has nothing to say, for an entry by its text; false says nothing. */
export function isPlainGrant(row: Raw<GrantColumns>, { members }: PlainEntry): boolean {
  if (members.type === '"call.granted"')
    return (
      isText(members.grant_id, row.grant_id) &&
      isText(approvalOf(members.cause ?? ""), row.grant_approval) &&
      isText(members.session_id, row.grant_session) &&
      isText(members.principal, row.grant_principal)
    );
  if (members.type !== '"call.receipt"') return true;
  return isText(members.grant_id, row.grant_id) && isText(members.receipt_id, row.receipt_id);
}

const APPROVAL = '{"approval_id":';

/** The text of the first member of a cause, which holds no comma. */
function approvalOf(cause: string): string {
  return cause.slice(APPROVAL.length, cause.indexOf(","));
}

/**
 * And it must say nothing more. Rows are found by the entries that they stand beside, so that what is left over in
 * the count of them all stands beside none.
 */
export class GrantsTable {
  private grants = 0;
  private receipts = 0;

  /** A row of the file whose columns of the table of grants have been looked at, or that has none. */
  met({ type, grant_id }: FileRow): void {
    if (grant_id === null) return;
    if (type === "call.granted") this.grants++;
    if (type === "call.receipt") this.receipts++;
  }

  /** An entry that {@link grantFault} has nothing to say of: its row is there. */
  holds({ type }: FollowedEntry): void {
    if (type === "call.granted") this.grants++;
    if (type === "call.receipt") this.receipts++;
  }

  /** @param from position from which on rows were met; null for all */
  faults(db: Database, from: number | null): string[] {
    const count = (where: string): number =>
      db.query<{ n: number }, []>(`SELECT count(*) AS n FROM grants ${where}`).get()?.n ?? 0;
    const grants = count(from === null ? "" : `WHERE seq >= ${from}`);
    const receipts = count(
      from === null
        ? "WHERE receipt_id IS NOT NULL OR receipt_seq IS NOT NULL"
        : `WHERE receipt_seq >= ${from}`,
    );
    const repeat = (detail: string, times: number) => Array<string>(Math.max(0, times)).fill(detail);
    return [
      ...repeat("a row in the table of grants has no grant entry", grants - this.grants),
      ...repeat(
        "a row in the table of grants names a receipt that is not in the log",
        receipts - this.receipts,
      ),
    ];
  }
}
