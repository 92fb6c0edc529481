/** Bodies of entries, to be said in any order by whoever holds the evidence key. All are of one call. */
import type { Said } from "./scratch-log.ts";

type Body = Readonly<Record<string, unknown>>;

export const UUID = "01a205ba-0000-7000-8000-000000000000";
export const JKT = "A".repeat(43);
export const HASH = "0".repeat(64);
export const DIGEST = `sha256:${HASH}`;
/** Before any clock of a test. */
export const PAST = "2020-01-01T00:00:00.000Z";
/** After any. */
export const FUTURE = "2099-01-01T00:00:00.000Z";

export const revocation = (previous_epoch: number, epoch: number): Said => ({
  type: "revocation",
  body: { trace_id: UUID, scope: "all", previous_epoch, epoch, operator: "o", jkt: JKT },
});

export const policy = (previous: string | null, policy_version: string): Said => ({
  type: "policy.changed",
  body: { previous, policy_version },
});

export const lease = (epoch: number): Said => ({
  type: "lease.issued",
  body: {
    ...{ trace_id: UUID, tenant: "t", principal: "p", session_id: UUID, lease_jti: UUID, jkt: JKT },
    ...{ scopes: [], identity_method: "peer", peer_uid: 1, expires: FUTURE },
    ...{ max_calls: null, epoch, fs_root: null },
  },
});

const action = { action_id: "a", action_version: "1", action_digest: DIGEST };
const caller = { trace_id: UUID, tenant: "t", principal: "p", session_id: UUID, ...action };
const call = { commitment: HASH, bytes: 1 };

/** A grant by a proof. */
export const grant = (policy_version: string, change: Body = {}): Said => ({
  type: "call.granted",
  body: {
    ...{ ...caller, jkt: JKT, grant_id: UUID, component_digest: DIGEST, risk: "low" },
    cause: { kind: "proof", proof: HASH, approval_id: null, idempotency: null },
    ...{ approvers: [], call, policy_version, generation: 1 },
    granted: { hosts: ["api.example.com"], paths: [], connections: [], secrets: [] },
    limits: { timeout_ms: 1, fuel: 1, memory_mb: 1, io_calls: 1, request_bytes: 1, response_bytes: 1 },
    ...{ budget: { reserved_calls: 1, remaining_calls: null }, epoch: 0 },
    ...{ not_after: FUTURE, boundary: "uid", decision: "grant" },
    ...change,
  },
});

export const receipt = (change: Body = {}): Said => ({
  type: "call.receipt",
  body: {
    ...{ ...caller, receipt_id: UUID, grant_id: UUID, component_digest: DIGEST, status: "indeterminate" },
    ...{ dispatched: "unknown", confirmed: false, claim: null, effects: [] },
    verification: { outcome: "skipped", reasons: [] },
    ...{ error: null, started: PAST, finished: PAST },
    ...{ duration_ms: 0, io_calls: 0, fuel: null, peak_memory_bytes: null, redactions: 0 },
    ...{ budget: { committed_calls: 1, released_calls: 0 }, boundary: "uid", decision: "error" },
    ...change,
  },
});

/** An effect over http, towards the host that {@link grant} grants. */
export const request = (change: Body = {}): Body => ({
  ...{ kind: "http", purpose: "effect", method: "GET", origin: "https://api.example.com", target: HASH },
  ...{ address: null, request_bytes: 0, request: null, status: 200, response_bytes: 0, response: null },
  ...{ secrets: [], scrubbed: 0, reached: "confirmed", error: null },
  ...change,
});

export const hold = (change: Body = {}): Said => ({
  type: "call.held",
  body: {
    ...{ ...caller, jkt: JKT, approval_id: UUID, risk: "high", call, reasons: [], policy_version: "ours" },
    ...{ quorum: 1, epoch: 0, expires: FUTURE, boundary: "uid", decision: "pending_approval" },
    ...change,
  },
});

/** Approval by the operator whose thumbprint begins with that letter, on the gate's word. */
export const approval = (letter: string, votes: number): Said => ({
  type: "approval.decided",
  body: {
    ...{ ...caller, approval_id: UUID, call, decision: "approve", statement: null, reason: null },
    operator: { id: letter, jkt: jktOf(letter), method: "operator_dpop" },
    ...{ votes, quorum: 1 },
  },
});

export const jktOf = (letter: string): string => letter.repeat(43);

/** A grant by the approval of {@link hold}. */
export const approved = (approvers: readonly string[]): Said =>
  grant("ours", {
    cause: { kind: "approval", proof: null, approval_id: UUID, idempotency: null },
    approvers: approvers.map(jktOf),
  });
