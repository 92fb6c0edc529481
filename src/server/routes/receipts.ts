import { fromBase64url } from "../../core/bytes.ts";
import { rfc3339 } from "../../core/clock.ts";
import type { Json, JsonObject } from "../../core/json.ts";
import type { Gate } from "../../gate/gate.ts";
import { readOutcome } from "../../gate/outcome.ts";
import { isRefusal, refuse } from "../../gate/refusal.ts";
import type { Answer } from "../../gate/respond.ts";
import type { ReadEntry } from "../../ledger/reader.ts";
import { boundaryNote } from "../boundary.ts";
import { callerOf, ok, operatorOf, refusalAnswer, type ServerContext } from "../context.ts";
import type { FrontRequest } from "../front/index.ts";
import { BOTH, type Route } from "../router.ts";

export const receiptRoutes: readonly Route[] = [
  { method: "GET", path: "/v1/receipts/{id}", sockets: BOTH, handle: receipt },
  { method: "GET", path: "/v1/receipt-keys", sockets: BOTH, handle: receiptKeys },
];

function receipt(context: ServerContext, request: FrontRequest, id: string): Answer {
  const found = readableReceipt(context, request, id);
  return "payload" in found ? ok(receiptView(context.gate, found)) : found;
}

/** On the client socket a lease reads its own principal's receipts; on the admin socket an operator reads any. */
export function readableReceipt(
  context: ServerContext,
  request: FrontRequest,
  id: string,
): ReadEntry | Answer {
  const { gate } = context;
  const reader =
    request.socket === "admin" ? operatorOf(context, request, "read") : callerOf(context, request);
  if (isRefusal(reader)) return refusalAnswer(reader);
  const entry = gate.reader.receipt({ receiptId: id });
  const missing = refusalAnswer(refuse("not_found", 404, "no such receipt"));
  if (entry === null || entry.payload.type !== "call.receipt") return missing;
  const { tenant, principal } = entry.payload;
  const mayRead =
    "operator" in reader
      ? reader.operator.tenant === null || reader.operator.tenant === tenant
      : reader.tenant === tenant && reader.principal === principal;
  return mayRead ? entry : missing;
}

const FAILURE_CLASS: Readonly<Record<string, string | null>> = {
  executed: null,
  failed: "provider_error",
  timed_out: "timeout",
  rejected_response: "policy_violation",
  verification_failed: "verification_failed",
  indeterminate: "internal_error",
};

/** A receipt as clients of the earlier wire read it, with the entry itself and its place in the log. */
export function receiptView(gate: Gate, entry: ReadEntry): JsonObject {
  const { payload } = entry;
  if (payload.type !== "call.receipt") throw new TypeError("not a receipt");
  const read = entry.status === "valid" ? readOutcome(gate, { receiptId: payload.receipt_id }) : null;
  const outcome = read === null || isRefusal(read) ? null : read;
  const reason = payload.error ?? payload.verification.reasons.join("; ");
  const normalized: JsonObject =
    payload.status === "executed"
      ? { kind: "success", summary: payload.verification.outcome }
      : payload.status === "timed_out"
        ? { kind: "timeout" }
        : { kind: payload.status === "indeterminate" ? "internal_error" : "provider_failure", reason };
  const verification: JsonObject =
    payload.verification.outcome === "verified"
      ? { status: "verified", evidence: { reasons: payload.verification.reasons } }
      : { status: payload.verification.outcome, reason: payload.verification.reasons.join("; ") };
  const note = boundaryNote(payload.boundary);
  return {
    receipt_id: payload.receipt_id,
    grant_id: payload.grant_id,
    action_id: payload.action_id,
    principal: payload.principal,
    tenant: payload.tenant,
    trace_id: payload.trace_id,
    provider_module_digest: payload.component_digest,
    provider_receipt: outcome?.output ?? null,
    ...(outcome?.outputPruned === true ? { output_pruned: true } : {}),
    normalized_result: normalized,
    verification_outcome: verification,
    effect_evidence: payload.effects as unknown as Json, // closed schema of scalars
    status: payload.status,
    dispatched: payload.dispatched,
    confirmed: payload.confirmed,
    boundary: payload.boundary,
    ...(note === null ? {} : { boundary_note: note }),
    started_at: payload.started,
    finished_at: payload.finished,
    failure_class: FAILURE_CLASS[payload.status] ?? null,
    result_hash: entry.payloadHash,
    receipt_signature: entry.signature.toString("hex"),
    signing_key_id: entry.kid,
    signature_status: entry.status,
    seq: entry.seq,
    leaf_hash: entry.leafHash,
    jws: entry.jws,
  };
}

/** Every key that ever signed entries; public, since checking evidence must not need a credential. */
function receiptKeys({ gate }: ServerContext): Answer {
  const keys = gate.reader
    .keys()
    .filter((key) => key.purpose === "evidence")
    .map((key) => {
      const first = gate.reader.entry(Math.max(0, key.validFromSeq - 1));
      const x = key.jwk.x;
      return {
        kid: key.kid,
        x,
        x_hex: fromBase64url(x)?.toString("hex") ?? "",
        kty: "OKP",
        crv: "Ed25519",
        alg: "EdDSA",
        use: "sig",
        added_at: first?.payload.time ?? rfc3339(gate.state.startedMs),
        "latchgate:valid_from_seq": key.validFromSeq,
        "latchgate:valid_to_seq": key.validToSeq,
      };
    });
  return ok({ keys });
}
