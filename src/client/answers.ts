import { isJsonObject, type Json, type JsonObject } from "../core/json.ts";
import type { Answer } from "./connection.ts";
import { mayHaveRun } from "./dispatched.ts";
import { ClientError } from "./errors.ts";

/** What became of a call. `body` is the gate's whole answer. */
export type Outcome =
  | {
      readonly kind: "executed";
      readonly output: Json;
      readonly receiptId: string;
      /** False when the effect was dispatched and then not confirmed as declared. */
      readonly confirmed: boolean;
      /** Verification tag, e.g. `verified`. */
      readonly verification: string;
      readonly body: JsonObject;
    }
  | { readonly kind: "held"; readonly approvalId: string; readonly body: JsonObject }
  | { readonly kind: "planned"; readonly decision: PlannedDecision; readonly body: JsonObject }
  /** An approval that was already decided: `already_approved`, `already_denied`, `already_failed`, `already_expired`. */
  | { readonly kind: "settled"; readonly decision: string; readonly body: JsonObject };

/** What a dry run says the gate would do. */
export type PlannedDecision = "would_execute" | "would_hold" | "would_deny";

/** Reads the answer to execute or approve. Throws {@link ClientError} `malformed_answer`. */
export function readOutcome(answer: Answer): Outcome {
  const body = objectOf(answer.body);
  const decision = textOf(body, "decision");
  // Held still: also the answer to an approval that others must join before the call runs.
  if (answer.status === 202 || decision === "pending_approval")
    return { kind: "held", approvalId: textOf(body, "approval_id"), body };
  switch (decision) {
    case "executed":
      return {
        kind: "executed",
        output: body.output ?? null,
        receiptId: textOf(body, "receipt_id"),
        ...readVerification(body),
        body,
      };
    case "would_execute":
    case "would_hold":
    case "would_deny":
      return { kind: "planned", decision, body };
    default:
      if (!decision.startsWith("already_")) throw malformed("decision");
      return { kind: "settled", decision, body };
  }
}

function readVerification(body: JsonObject): { confirmed: boolean; verification: string } {
  const found = body.verification;
  if (!isJsonObject(found) || typeof found.is_fully_successful !== "boolean") throw malformed("verification");
  return { confirmed: found.is_fully_successful, verification: textOf(found, "outcome") };
}

/** Where a held call stands, as its requester may know it. */
export type PollState =
  | { readonly kind: "pending"; readonly retryAfterSeconds: number }
  | { readonly kind: "done"; readonly outcome: Extract<Outcome, { kind: "executed" }> }
  /** It will not run: `denied`, `expired`, or `failed` before anything was dispatched. */
  | { readonly kind: "ended"; readonly status: string; readonly reason: string; readonly body: JsonObject }
  /** It was dispatched and did not end well: `failed`, `timed_out`, `indeterminate` and the like. */
  | {
      readonly kind: "unconfirmed";
      readonly status: string;
      readonly reason: string;
      readonly body: JsonObject;
    };

const NOT_RUN: ReadonlySet<string> = new Set(["denied", "expired"]);

/** Reads the answer to a poll. Any state that is not known counts as final, so that a wait always ends. */
export function readPoll(answer: Answer): PollState {
  const body = objectOf(answer.body);
  const status = textOf(body, "status");
  if (status === "pending" || status === "claimed") {
    const seconds = body.retry_after_seconds;
    return {
      kind: "pending",
      retryAfterSeconds: typeof seconds === "number" ? Math.min(30, Math.max(1, seconds)) : 2,
    };
  }
  if (status === "approved" || status === "executed")
    return {
      kind: "done",
      outcome: {
        kind: "executed",
        output: body.output ?? null,
        receiptId: textOf(body, "receipt_id"),
        ...readVerification(body),
        body,
      },
    };
  const reason = typeof body.reason === "string" ? body.reason : status;
  if (NOT_RUN.has(status)) return { kind: "ended", status, reason, body };
  const ranNothing = status === "failed" && !mayHaveRun(body);
  return { kind: ranNothing ? "ended" : "unconfirmed", status, reason, body };
}

export function objectOf(body: Json): JsonObject {
  if (!isJsonObject(body)) throw malformed("object");
  return body;
}

/** A list of objects under the given member. */
export function listOf(body: Json, name: string): readonly JsonObject[] {
  const list = objectOf(body)[name];
  if (!Array.isArray(list) || !list.every(isJsonObject)) throw malformed(name);
  return list;
}

export function textOf(body: JsonObject, name: string): string {
  const value = body[name];
  if (typeof value !== "string") throw malformed(name);
  return value;
}

function malformed(name: string): ClientError {
  return new ClientError("malformed_answer", `the gate's answer has no valid ${name}`, {
    hint: "are program and gate of the same version? see latchgate version and latchgate status",
  });
}
