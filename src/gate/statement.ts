import type { HoldRow } from "../approvals/state.ts";
import { readApprovalStatement } from "../keys/approval-statement.ts";
import type { OperatorDecision } from "./approve.ts";
import type { Gate } from "./gate.ts";
import { readHeldEntry } from "./held-call.ts";
import { isRefusal, type Refusal, refuse } from "./refusal.ts";

const SKEW_S = 5;
const SHORTEST_NONCE = 16;

/**
 * Checks an operator's signed statement (keys/approval-statement.ts): signed by the key of the one who decides, of now, and
 * about the call as its signed entry has it; a statement about another one is refused with 409.
 */
export function checkStatement(gate: Gate, made: OperatorDecision, hold: HoldRow): Refusal | null {
  const bad = (why: string) =>
    refuse("bad_statement", 400, `the signed statement is not valid: ${why}`, {
      members: { deny_reason: why },
      hint: "sign the members of to_sign in GET /v1/approvals/{id}, with decision, nonce, iat and exp",
    });
  const read = readApprovalStatement(made.statement ?? "");
  if (typeof read === "string") return bad(read);
  if (read.jkt !== made.operator.thumbprint) return bad("signed by another key");
  const { claims } = read;
  if (claims === null) return bad("members");
  const now = Math.floor(gate.clock.now() / 1000);
  if (claims.iat > now + SKEW_S || claims.exp <= now) return bad("time");
  if (claims.nonce.length < SHORTEST_NONCE) return bad("nonce");
  const held = readHeldEntry(gate, hold);
  if (isRefusal(held)) return held;
  const same =
    claims.approval_id === held.approval_id &&
    claims.call === held.call.commitment &&
    claims.log === held.log &&
    claims.seq === held.seq &&
    claims.decision === made.decision;
  return same
    ? null
    : refuse("conflict", 409, "the statement is about another call than the one that is held", {
        hint: "show the approval again and decide on what it is now",
      });
}
