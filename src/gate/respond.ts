import type { Json, JsonObject } from "../core/json.ts";
import type { EntryPayload } from "../ledger/entry/entry.ts";
import type { Verified } from "./call.ts";
import type { Refusal } from "./refusal.ts";

/** What a listener sends. */
export interface Answer {
  readonly status: number;
  readonly body: JsonObject;
  readonly headers: Readonly<Record<string, string>>;
}

/** A terminal receipt as far as its caller may see it. */
export interface Outcome {
  readonly traceId: string;
  readonly actionId: string;
  readonly grantId: string;
  readonly receiptId: string;
  readonly status: Verified["status"];
  readonly dispatched: Verified["dispatched"];
  readonly confirmed: boolean;
  readonly verification: Verified["verification"];
  readonly error: string | null;
  readonly durationMs: number;
  /** Null when it is not known. */
  readonly fuel: number | null;
  readonly boundary: string;
  /** Null when there is none, it is withheld, or it has been pruned. */
  readonly output: Json | null;
  /** The output was kept and has been pruned since: the answer says so instead of showing it. */
  readonly outputPruned?: true;
}

/** The outcome that a stored receipt tells, with the output that its claim names. */
export function outcomeOf(
  receipt: Extract<EntryPayload, { readonly type: "call.receipt" }>,
  output: Json | null,
): Outcome {
  return {
    traceId: receipt.trace_id,
    actionId: receipt.action_id,
    grantId: receipt.grant_id,
    receiptId: receipt.receipt_id,
    status: receipt.status,
    dispatched: receipt.dispatched,
    confirmed: receipt.confirmed,
    verification: receipt.verification,
    error: receipt.error,
    durationMs: receipt.duration_ms,
    fuel: receipt.fuel,
    boundary: receipt.boundary,
    output,
  };
}

/** Step 12, and every later answer about the same call: made from the receipt alone, so that a retry gets the same. */
export function respond(outcome: Outcome, more: JsonObject = {}): Answer {
  const common = {
    trace_id: outcome.traceId,
    action_id: outcome.actionId,
    grant_id: outcome.grantId,
    receipt_id: outcome.receiptId,
    status: outcome.status,
    dispatched: outcome.dispatched,
    confirmed: outcome.confirmed,
    boundary: outcome.boundary,
  };
  const verification = {
    verification_outcome: outcome.verification.outcome,
    verification: {
      outcome: outcome.verification.outcome,
      is_fully_successful: isFullySuccessful(outcome),
      reasons: outcome.verification.reasons,
    },
    runtime: {
      duration_ms: outcome.durationMs,
      exit_code: outcome.error === null ? 0 : 1,
      fuel_consumed: outcome.fuel ?? 0,
    },
  };
  const failed = (status: number, error: string, message: string): Answer => ({
    status,
    body: { error, message, ...common, failure: outcome.error, ...verification, ...more },
    headers: {},
  });
  switch (outcome.status) {
    case "executed":
      return executed(outcome, common, verification, more);
    case "verification_failed":
      // Where the risk is high an unverified output is withheld; elsewhere it comes, marked as what it is.
      return outcome.output === null && outcome.outputPruned !== true
        ? failed(502, "verification_failed", "the effect happened, but is not what was expected")
        : executed(outcome, common, verification, more);
    case "rejected_response":
      return failed(
        422,
        "schema_violation",
        "the effect happened, but the response does not fit the action's schema",
      );
    case "failed":
      return failed(
        502,
        "action_execution_failed",
        `the action failed before anything left the gate: ${outcome.error ?? "unknown"}`,
      );
    case "timed_out":
      return failed(
        502,
        "action_execution_failed",
        "the action ran out of time; its effect may have happened",
      );
    case "indeterminate":
      return failed(502, "action_execution_failed", "the action was cut off; its effect may have happened");
  }
}

function executed(outcome: Outcome, common: JsonObject, verification: JsonObject, more: JsonObject): Answer {
  const pruned = outcome.outputPruned === true ? { output_pruned: true } : {};
  const output = { output: outcome.output, ...pruned };
  const body = { decision: "executed", ...common, ...output, ...verification, ...more };
  return { status: 200, body, headers: {} };
}

export function isFullySuccessful(outcome: Pick<Outcome, "status" | "verification">): boolean {
  const { outcome: tag } = outcome.verification;
  return outcome.status === "executed" && (tag === "verified" || tag === "unverifiable_declared");
}

/** A refusal as the wire has it: `error` first, then its members, then what helps people. */
export function answerRefusal(refusal: Refusal, traceId: string | null): Answer {
  return {
    status: refusal.status,
    body: {
      error: refusal.code,
      ...refusal.members,
      message: refusal.message,
      ...(refusal.hint === undefined ? {} : { hint: refusal.hint }),
      ...(refusal.reasons.length === 0
        ? {}
        : { reasons: refusal.reasons.map(({ code, text }) => ({ code, text })) }),
      ...(traceId === null ? {} : { trace_id: traceId }),
    },
    headers: refusal.retryAfterSeconds === null ? {} : { "retry-after": String(refusal.retryAfterSeconds) },
  };
}
