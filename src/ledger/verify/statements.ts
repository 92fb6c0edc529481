import { readApprovalStatement } from "../../keys/approval-statement.ts";
import type { EntryPayload } from "../entry/entry.ts";

type Decided = Extract<EntryPayload, { readonly type: "approval.decided" }>;
type Loaded = Extract<EntryPayload, { readonly type: "operators.loaded" }>;

/** What a decision is about, as the signed entry of the hold has it. */
export interface HeldAt {
  readonly seq: number;
  /** Commitment. */
  readonly call: string;
}

/**
 * Whose word a decision is. The log names who may decide by the thumbprints of their keys (`operators.loaded`); a signed
 * statement carries the key and is that operator's own word, which no holder of the evidence key can make. Before the
 * first such entry, in logs of earlier gates, nothing is known of operators, and statements named the plan in another way.
 */
export class Statements {
  private operators: ReadonlyMap<string, Loaded["operators"][number]> | null = null;
  /** Statements that hold. */
  signed = 0;
  /** Decisions of operators for whom only the gate's word stands. */
  unsigned = 0;

  load(entry: Loaded): void {
    this.operators = new Map(entry.operators.map((operator) => [operator.jkt, operator]));
  }

  /** What is wrong with who decided; null when nothing is. */
  decider(entry: Decided): string | null {
    const { operator } = entry;
    if (operator === null || this.operators === null) return null;
    const known = this.operators.get(operator.jkt);
    if (known === undefined || known.id !== operator.id) return "a decision by somebody who is no operator";
    if (known.tenant !== null && known.tenant !== entry.tenant)
      return "a decision by an operator of another tenant";
    if (entry.decision === "approve" && known.principals.includes(entry.principal))
      return "the one who asked approved";
    return null;
  }

  /** What is wrong with the statement of a decision on what is held there; null when nothing is. */
  take(entry: Decided, held: HeldAt): string | null {
    const { operator, statement } = entry;
    if (operator === null) return statement === null ? null : "a statement of nobody";
    if ((operator.method === "signed_statement") !== (statement !== null))
      return "the statement that the decision speaks of is not there";
    if (statement === null) {
      this.unsigned++;
      return null;
    }
    const fault = this.fault(entry, statement, operator.jkt, held);
    if (fault === null) this.signed++;
    return fault;
  }

  private fault(entry: Decided, statement: string, jkt: string, held: HeldAt): string | null {
    const read = readApprovalStatement(statement);
    if (typeof read === "string") return `the operator's statement is not valid: ${read}`;
    if (read.jkt !== jkt) return "the statement is signed by another key than the operator's";
    const { claims, payload } = read;
    const same =
      payload.approval_id === entry.approval_id &&
      payload.decision === entry.decision &&
      (claims === null
        ? this.operators === null
        : claims.call === held.call && claims.log === entry.log && claims.seq === held.seq);
    return same ? null : "the operator's statement is about another decision";
  }
}
