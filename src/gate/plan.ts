import { sha256Hex } from "../core/bytes.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import { isJsonObject, type JsonObject, parseJson } from "../core/json.ts";
import { type CallLimits, planFromJson, planToJson } from "../core/plan.ts";
import { commit, makePayload, type Payload } from "../ledger/store/payloads.ts";
import { findLease } from "./acts/state.ts";
import type { Planned, PlannedCall, Validated } from "./call.ts";
import type { Gate } from "./gate.ts";
import { overloaded } from "./overloaded.ts";
import { type Refusal, refuse } from "./refusal.ts";
import { sessionRoot } from "./session-root.ts";

/** Step 5: the exact effect, made before policy and never changed again. */
export async function plan(gate: Gate, call: Validated): Promise<Planned | Refusal> {
  const { action, params } = call;
  const written = action.written(params, gate.connections);
  const statement = written === null ? null : await gate.statements.read(written, call.caller.tenant);
  if (written !== null && statement === null) return overloaded();
  const session = findLease(gate.reader.db, call.caller.sessionId);
  if (session === null) return refuse("invalid_lease", 401, "the session is not known to this gate");
  const fsRoot = session.fs_root === null ? gate.fsRoot : gate.sessionRoots.path(session.fs_root);
  if (fsRoot === null)
    return refuse("invalid_lease", 401, "the session's folder is not kept any more", {
      hint: "get a new lease",
    });
  const root = sessionRoot(gate.fsRoots, fsRoot);
  if (root === null)
    return refuse("invalid_lease", 401, "the session's folder is outside of those that are allowed now", {
      hint: "get a new lease",
    });
  const made = action.plan(params, {
    fsRoot: root.allowed,
    fsBelow: root.below,
    local: gate.localTargets.get(action.id) ?? [],
    connections: gate.connections,
    statement,
  });
  if (!made.ok)
    return refuse("policy_denied", 403, made.message, {
      members: {
        deny_reason: `${made.code}: ${made.message}`,
        principal: call.caller.principal,
        action_id: action.id,
      },
      reasons: [{ code: made.code, text: made.message, rule: "plan" }],
    });
  const stored = {
    v: 1,
    action_id: action.id,
    action_digest: action.digest,
    component_digest: call.component,
    params,
    plan: planToJson(made.plan),
    limits: limitsToJson(action.limits),
    unresolved: { hosts: [...made.unresolved.hosts], paths: [...made.unresolved.paths] },
    policy_params: { ...made.policyParams },
  } satisfies JsonObject;
  const text = canonicalJson(stored);
  const payload = makePayload("call", Buffer.from(text));
  return {
    traceId: call.traceId,
    boundary: call.boundary,
    caller: call.caller,
    action,
    generation: call.generation,
    component: call.component,
    params,
    requestHash: call.requestHash,
    plan: made.plan,
    planHash: `sha256:${sha256Hex(text)}`,
    limits: action.limits,
    unresolved: made.unresolved,
    policyParams: made.policyParams,
    payload,
    commitment: commit(payload),
    proof: { jkt: call.proof.jkt, jti: call.proof.jti, expiresMs: call.proof.expiresMs },
    idempotency: call.idempotency,
    dryRun: call.request.dryRun,
  };
}

/** What {@link plan} stored, read back from bytes that match their signed commitment. */
export interface StoredCall
  extends Pick<
    PlannedCall,
    "params" | "plan" | "planHash" | "limits" | "unresolved" | "policyParams" | "requestHash"
  > {
  readonly actionDigest: string;
  readonly componentDigest: string;
}

export function readStoredCall(payload: Payload): StoredCall {
  const stored = parseJson(payload.bytes, { bytes: payload.bytes.length, depth: 64 });
  if (!isJsonObject(stored) || stored.v !== 1 || !isJsonObject(stored.plan ?? null))
    throw new Error("the stored call has another format");
  // Written by `plan` above; its bytes have been compared with the commitment in a signed entry.
  const call = stored as unknown as {
    action_digest: string;
    component_digest: string;
    params: JsonObject;
    plan: JsonObject;
    limits: ReturnType<typeof limitsToJson>;
    unresolved: { hosts: string[]; paths: string[] };
    policy_params: Record<string, string | number | boolean | null>;
  };
  return {
    actionDigest: call.action_digest,
    componentDigest: call.component_digest,
    params: call.params,
    plan: planFromJson(call.plan),
    planHash: `sha256:${sha256Hex(payload.bytes)}`,
    requestHash: `sha256:${sha256Hex(canonicalJson(call.params))}`,
    limits: {
      timeoutMs: call.limits.timeout_ms,
      fuel: call.limits.fuel,
      memoryMb: call.limits.memory_mb,
      ioCalls: call.limits.io_calls,
      requestBytes: call.limits.request_bytes,
      responseBytes: call.limits.response_bytes,
    },
    unresolved: call.unresolved,
    policyParams: call.policy_params,
  };
}

export function limitsToJson(limits: CallLimits) {
  return {
    timeout_ms: limits.timeoutMs,
    fuel: limits.fuel,
    memory_mb: limits.memoryMb,
    io_calls: limits.ioCalls,
    request_bytes: limits.requestBytes,
    response_bytes: limits.responseBytes,
  };
}
