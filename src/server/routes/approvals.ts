import { findHold, type HoldRow, type HoldState, listHolds, votesOf } from "../../approvals/state.ts";
import { rfc3339 } from "../../core/clock.ts";
import { isJsonObject, type Json, JsonError, type JsonObject, parseJson } from "../../core/json.ts";
import { acrossTargets, envelopeWords } from "../../core/plan/envelope.ts";
import { type Plan, type PlanKind, planToJson, secretsOf } from "../../core/plan.ts";
import { decide } from "../../gate/approve.ts";
import type { Gate } from "../../gate/gate.ts";
import { openHeldCall } from "../../gate/held-call.ts";
import { readOutcome } from "../../gate/outcome.ts";
import { isRefusal, type Refusal, refuse, sanitise } from "../../gate/refusal.ts";
import { type Answer, answerRefusal, isFullySuccessful, respond } from "../../gate/respond.ts";
import { LedgerError } from "../../ledger/errors.ts";
import { callerOf, ok, operatorBody, operatorOf, refusalAnswer, type ServerContext } from "../context.ts";
import { type FrontRequest, HttpFault } from "../front/index.ts";
import { readLimit, readQuery } from "../query.ts";
import { ADMIN, BOTH, type Route } from "../router.ts";

const STATES: ReadonlySet<string> = new Set(["pending", "approved", "denied", "failed", "expired"]);

export const approvalRoutes: readonly Route[] = [
  { method: "GET", path: "/v1/approvals", sockets: ADMIN, handle: list },
  { method: "GET", path: "/v1/approvals/{id}", sockets: ADMIN, handle: show },
  { method: "POST", path: "/v1/approvals/{id}/approve", sockets: ADMIN, handle: decision("approve") },
  { method: "POST", path: "/v1/approvals/{id}/deny", sockets: ADMIN, handle: decision("deny") },
  { method: "GET", path: "/v1/approvals/{id}/poll", sockets: BOTH, handle: poll },
];

/** A hold whose time is over reads as expired, before the sweep has written it so. */
function stateOf(gate: Gate, hold: HoldRow): HoldState {
  return hold.state === "pending" && gate.clock.now() >= hold.expires_ms ? "expired" : hold.state;
}

function visible(gate: Gate, id: string, tenant: string | null): HoldRow | Refusal {
  const hold = findHold(gate.reader.db, id);
  return hold === null || (tenant !== null && hold.tenant !== tenant)
    ? refuse("action_not_found", 404, "no such approval")
    : hold;
}

function list(context: ServerContext, request: FrontRequest): Answer {
  const operator = operatorOf(context, request, "read");
  if (isRefusal(operator)) return refusalAnswer(operator);
  const query = readQuery(request.query);
  const status = query.get("status");
  if (status !== undefined && !STATES.has(status))
    throw new HttpFault(400, "bad_request", `status is one of ${[...STATES].join(", ")}`);
  const { gate } = context;
  const holds = listHolds(gate.reader.db, {
    state: (status ?? null) as HoldState | null, // compared with the set above
    tenant: operator.operator.tenant,
    limit: readLimit(query.get("limit"), 50, 200),
  });
  const approvals = holds.map((hold) => summary(gate, hold));
  return ok({ approvals, count: approvals.length });
}

function summary(gate: Gate, hold: HoldRow): JsonObject {
  return {
    approval_id: hold.approval_id,
    status: stateOf(gate, hold),
    action_id: hold.action_id,
    action_version: hold.action_version,
    principal: hold.principal,
    tenant: hold.tenant,
    session_id: hold.session_id,
    risk_level: hold.risk,
    created_at: rfc3339(hold.created_ms),
    expires_at: rfc3339(hold.expires_ms),
    quorum: hold.quorum,
    votes: votesOf(gate.reader.db, hold.approval_id).length,
    ...(hold.completed_ms === null ? {} : { completed_at: rfc3339(hold.completed_ms) }),
    ...(hold.decided_by === null ? {} : { decided_by: hold.decided_by }),
    ...(hold.receipt_id === null ? {} : { receipt_id: hold.receipt_id }),
    ...(hold.reason === null ? {} : { deny_reason: hold.reason }),
    ...(hold.code === null ? {} : { error_code: hold.code }),
  };
}

function show(context: ServerContext, request: FrontRequest, id: string): Answer {
  const operator = operatorOf(context, request, "read");
  if (isRefusal(operator)) return refusalAnswer(operator);
  const { gate } = context;
  const hold = visible(gate, id, operator.operator.tenant);
  if (isRefusal(hold)) return refusalAnswer(hold);
  const entry = gate.reader.trusted(hold.seq, "call.held");
  const about = {
    ...summary(gate, hold),
    policy_version: hold.policy_version,
    reasons: entry.reasons as unknown as Json, // closed schema of strings
    approvers: votesOf(gate.reader.db, id).map(({ operator: name }) => name),
    boundary: entry.boundary,
    // What a signed statement names, in the words in which it names it.
    to_sign: { approval_id: entry.approval_id, call: entry.call.commitment, log: entry.log, seq: entry.seq },
  };
  try {
    const { stored } = openHeldCall(gate, hold);
    const action = gate.registry.get(hold.action_id);
    const { plan } = stored;
    return ok({
      ...about,
      request_hash: stored.requestHash,
      plan_hash: stored.planHash,
      plan: planPreview(planToJson(plan)),
      provider_module_digest: stored.componentDigest,
      approved_targets: action?.effects ?? [],
      approved_secrets: secretsOf(plan),
      approved_egress: approvedEgress(plan),
      ...(plan.kind === "envelope" ? { envelope: [...envelopeWords(plan)] } : {}),
      verifier_kind: VERIFIER_KINDS[plan.kind],
      unresolved_domains: stored.unresolved.hosts,
      unresolved_paths: stored.unresolved.paths,
    });
  } catch (error) {
    if (!(error instanceof LedgerError) || error.code !== "payload_missing") throw error;
    return ok({ ...about, source: "durable_outcome" });
  }
}

function approvedEgress(plan: Plan): Json {
  if (plan.kind !== "http" && plan.kind !== "envelope") return "none";
  const domains = plan.kind === "http" ? [new URL(plan.url).hostname] : acrossTargets(plan, "hosts");
  return { proxy_allowlist: { allowed_domains: domains } };
}

const VERIFIER_KINDS: Readonly<Record<PlanKind, string>> = {
  http: "http_status",
  fs: "fs_hash",
  database: "database",
  mail: "smtp",
  queue: "queue",
  storage: "storage",
  envelope: "envelope",
};

const PREVIEW_BYTES = 4096;

/** The whole plan; a long body is cut for reading, with its size. The hash covers all of it. */
function planPreview(plan: JsonObject): JsonObject {
  const shown: Record<string, Json> = { ...plan };
  for (const member of ["body", "content", "payload"]) {
    const text = plan[member];
    if (typeof text !== "string") continue;
    const bytes = Buffer.from(text, "base64");
    const cut = bytes.subarray(0, PREVIEW_BYTES);
    const readable = cut.toString("utf8");
    shown[member] = {
      bytes: bytes.length,
      ...(readable.includes("\ufffd") ? { base64: cut.toString("base64") } : { text: readable }),
      truncated: bytes.length > PREVIEW_BYTES,
    };
  }
  return shown;
}

function decision(kind: "approve" | "deny") {
  return async (context: ServerContext, request: FrontRequest, id: string): Promise<Answer> => {
    const { gate } = context;
    const found = operatorOf(context, request, "write", true);
    if (isRefusal(found)) return refusalAnswer(found);
    if (kind === "approve" && gate.state.draining)
      return refusalAnswer(refuse("draining", 503, "the gate is stopping", { retryAfterSeconds: 5 }));
    const sent = await operatorBody(context, request, found);
    if (isRefusal(sent)) return refusalAnswer(sent);
    const body = readDecision(sent);
    const hold = visible(gate, id, found.operator.tenant);
    if (isRefusal(hold)) return refusalAnswer(hold);
    const made = {
      approvalId: id,
      decision: kind,
      operator: found.operator,
      proof: found.proof,
      statement: body.statement,
      reason: kind === "deny" ? sanitise(body.reason ?? "operator_denied", 500) : null,
    };
    const outcome = await decide(gate, made, hold);
    if (isRefusal(outcome)) return answerRefusal(outcome, hold.trace_id);
    switch (outcome.kind) {
      case "already":
        return ok({
          decision: `already_${outcome.hold.state}`,
          approval_id: id,
          status: outcome.hold.state,
          state: outcome.hold.state,
          ...(outcome.hold.completed_ms === null ? {} : { completed_at: rfc3339(outcome.hold.completed_ms) }),
          ...(outcome.hold.receipt_id === null ? {} : { receipt_id: outcome.hold.receipt_id }),
          ...(outcome.hold.reason === null ? {} : { deny_reason: outcome.hold.reason }),
        });
      case "denied":
        return ok({
          decision: "deny",
          trace_id: hold.trace_id,
          action_id: hold.action_id,
          approval_id: id,
          denied_by: found.operator.id,
          deny_reason: made.reason,
        });
      case "counted":
        return ok({
          decision: "pending_approval",
          approval_id: id,
          trace_id: hold.trace_id,
          votes: outcome.votes,
          quorum: hold.quorum,
        });
      case "executed":
        return respond(outcome.outcome, {
          approval: {
            decision: "allow",
            approval_id: id,
            approved_by: found.operator.id,
            approval_hash: hold.call,
            operator_authn_method: "operator_dpop",
            operator_sender_binding: found.operator.thumbprint,
          },
        });
    }
  };
}

/** The body of a decision: none, or `{"statement"?, "reason"?}`. Clients of the earlier wire send none. */
function readDecision(body: Uint8Array): { statement: string | null; reason: string | null } {
  if (body.length === 0) return { statement: null, reason: null };
  let value: Json;
  try {
    value = parseJson(body, { bytes: 16_384, depth: 2 });
  } catch (error) {
    if (error instanceof JsonError)
      throw new HttpFault(400, "bad_request", `the body is not usable json: ${error.message}`);
    throw error;
  }
  if (!isJsonObject(value)) throw new HttpFault(422, "invalid_request", "the body must be a json object");
  const { statement = null, reason = null } = value;
  if (
    (statement !== null && typeof statement !== "string") ||
    (reason !== null && typeof reason !== "string")
  )
    throw new HttpFault(422, "invalid_request", "statement and reason must be texts");
  return { statement, reason };
}

/** The agent's question about its own held call: by the session that made it, or another of the same key. */
function poll(context: ServerContext, request: FrontRequest, id: string): Answer {
  const { gate } = context;
  const caller = callerOf(context, request);
  if (isRefusal(caller)) return refusalAnswer(caller);
  const hold = findHold(gate.reader.db, id);
  const own =
    hold !== null &&
    hold.tenant === caller.tenant &&
    hold.principal === caller.principal &&
    (hold.session_id === caller.sessionId || hold.jkt === caller.jkt);
  if (!own) return refusalAnswer(refuse("not_found", 404, "no such approval"));
  const outcome = hold.grant_id === null ? null : readOutcome(gate, { grantId: hold.grant_id });
  if (outcome !== null && isRefusal(outcome)) return refusalAnswer(outcome);
  if (outcome !== null) {
    const { status: _, ...terminal } = respond(outcome).body;
    return ok({
      ...terminal,
      // The earlier wire's word for a call that ran as approved; every other end is a failure with its reason.
      status:
        outcome.status === "executed" || outcome.output !== null || outcome.outputPruned === true
          ? "approved"
          : "failed",
      outcome: outcome.status,
      receipt_id: outcome.receiptId,
      verification: {
        outcome: outcome.verification.outcome,
        is_fully_successful: isFullySuccessful(outcome),
      },
      ...(outcome.error === null ? {} : { reason: outcome.error }),
    });
  }
  switch (stateOf(gate, hold)) {
    case "pending":
      return ok({
        status: "pending",
        retry_after_seconds: 2,
        votes: votesOf(gate.reader.db, id).length,
        quorum: hold.quorum,
      });
    case "approved":
      return ok({ status: "pending", retry_after_seconds: 1 });
    case "denied":
      return ok({ status: "denied", reason: hold.reason ?? "operator_denied" });
    case "failed":
      return ok({ status: "failed", reason: hold.code ?? "failed" });
    case "expired":
      return ok({ status: "expired", reason: "nobody decided in time" });
  }
}
