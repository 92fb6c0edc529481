import { sha256Hex } from "../core/bytes.ts";
import type { UsedProof } from "../gate/acts/state.ts";
import { authenticate } from "../gate/authenticate.ts";
import type { Caller } from "../gate/call.ts";
import type { Gate } from "../gate/gate.ts";
import { type Refusal, refuse } from "../gate/refusal.ts";
import { type Answer, answerRefusal } from "../gate/respond.ts";
import { refuseBody } from "../gate/validate.ts";
import {
  type AuthRequest,
  authenticateOperator,
  bodyMatches,
  type IdentityRefusal,
  type Operator,
  type ProofBase,
} from "../identity/index.ts";
import type { FrontRequest, RateLimiter } from "./front/index.ts";

/** What routes need beside the gate: limiters, and the bases that proofs may name. */
export interface ServerContext {
  readonly gate: Gate;
  readonly bases: readonly ProofBase[];
  readonly limiters: {
    readonly peer: RateLimiter;
    readonly lease: RateLimiter;
    /** Executions by lease. */
    readonly session: RateLimiter;
    readonly operatorRead: RateLimiter;
    readonly operatorWrite: RateLimiter;
  };
  readonly version: string;
  readonly sockets: { readonly client: string; readonly admin: string };
  readonly ledgerPath: string;
}

/** The parts of a request that speak for its sender. */
export function authOf(context: ServerContext, request: FrontRequest): AuthRequest {
  return {
    method: request.method,
    path: request.path,
    bases: context.bases,
    authorization: request.headers("authorization"),
    dpop: request.headers("dpop"),
  };
}

export function peerUid(request: FrontRequest): number {
  // A transport without peer credentials counts as an account of its own that is nobody's.
  return request.peer?.uid ?? 0xffff_fffe;
}

/** Sheds load per account before any work is done for it. */
export function shedPeer(context: ServerContext, request: FrontRequest, code: string): Refusal | null {
  const verdict = context.limiters.peer.take(`${request.socket} ${peerUid(request)}`);
  if (verdict.ok) return null;
  context.gate.shed.count(`uid:${peerUid(request)}`, code);
  return refuse(code, 429, "too many requests", { retryAfterSeconds: verdict.retryAfterSeconds });
}

/** The same per lease, by its text: what is no lease yet can't use up the share of one, nor of its neighbours. */
export function shedSession(context: ServerContext, request: FrontRequest): Refusal | null {
  const token = request.headers("authorization")[0];
  if (token === undefined) return null;
  const verdict = context.limiters.session.take(sha256Hex(token));
  if (verdict.ok) return null;
  context.gate.shed.count(`uid:${peerUid(request)}`, "rate_limited");
  return refuse("rate_limited", 429, "too many requests of this session", {
    retryAfterSeconds: verdict.retryAfterSeconds,
  });
}

export interface AuthenticatedOperator {
  readonly operator: Operator;
  readonly proof: UsedProof & { readonly bodyHash: string | null };
}

/** How long the ledger remembers an operator's proof. */
const PROOF_KEPT_MS = 180_000;

/**
 * Operator authentication for the admin routes: DPoP by an enrolled key, whatever socket the request came by, then
 * the operator's own rate. `fine` keeps the exact code; elsewhere every failure but an outage is `unauthorized`.
 */
export function operatorOf(
  context: ServerContext,
  request: FrontRequest,
  kind: "read" | "write",
  fine = false,
): AuthenticatedOperator | Refusal {
  const { gate, limiters } = context;
  const throttled = fine ? "operator_throttled" : "rate_limit_exceeded";
  const shed = shedPeer(context, request, throttled);
  if (shed !== null) return shed;
  const found = authenticateOperator(authOf(context, request), {
    replay: gate.replay,
    operators: gate.operators,
    clock: gate.clock,
  });
  if (!found.ok) {
    gate.shed.count(`uid:${peerUid(request)}`, found.code);
    return refuseOperator(found, fine);
  }
  const limiter = kind === "read" ? limiters.operatorRead : limiters.operatorWrite;
  const verdict = limiter.take(found.operator.id);
  if (!verdict.ok)
    return refuse(throttled, 429, "too many requests", { retryAfterSeconds: verdict.retryAfterSeconds });
  const { jkt, jti, bodyHash } = found.proof;
  const expiresMs = gate.clock.now() + PROOF_KEPT_MS;
  return { operator: found.operator, proof: { jkt, jti, bodyHash, expiresMs } };
}

/** The body of an operator's request, which must be the one that the proof binds, if it binds one. */
export async function operatorBody(
  context: ServerContext,
  request: FrontRequest,
  { proof }: AuthenticatedOperator,
): Promise<Uint8Array | Refusal> {
  const body = await request.body();
  if (bodyMatches(proof, body)) return body;
  const refusal = refuseBody();
  context.gate.shed.count(`uid:${peerUid(request)}`, refusal.code);
  return refusal;
}

function refuseOperator(refusal: IdentityRefusal, fine: boolean): Refusal {
  if (refusal.status === 503) return refuse(refusal.code, 503, refusal.detail);
  if (!fine) return refuse("unauthorized", 401, refusal.detail);
  const members =
    refusal.code === "invalid_dpop" || refusal.code === "key_binding_failed"
      ? { deny_reason: refusal.detail }
      : {};
  return refuse(refusal.code, refusal.status, refusal.detail, { members });
}

/** Lease authentication for routes that read: who is it, on a proof of first use. */
export function callerOf(context: ServerContext, request: FrontRequest): Caller | Refusal {
  const { gate } = context;
  const authenticated = authenticate(gate, {
    traceId: "",
    boundary: "uid",
    request: {
      ...authOf(context, request),
      actionId: "",
      idempotencyKey: [],
      dryRun: false,
      peerUid: peerUid(request),
      body: () => request.body(),
    },
  });
  if ("refused" in authenticated) {
    gate.shed.count(`uid:${peerUid(request)}`, authenticated.code);
    return authenticated;
  }
  return authenticated.caller;
}

export function ok(body: Answer["body"], status = 200): Answer {
  return { status, body, headers: {} };
}

export function refusalAnswer(refusal: Refusal): Answer {
  return answerRefusal(refusal, null);
}
