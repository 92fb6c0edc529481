import type { Action } from "../actions/index.ts";
import type { ObservedEffect } from "../core/effect.ts";
import type { HttpAnswer } from "../core/host-call.ts";
import type { Json, JsonObject } from "../core/json.ts";
import type { CallLimits, Plan } from "../core/plan.ts";
import type { ProofBase } from "../identity/index.ts";
import type { Boundary, Commitment, EntryBody } from "../ledger/entry/types.ts";
import type { Payload } from "../ledger/store/payloads.ts";
import type { PolicyDecision } from "../policy/contract.ts";
import type { IdempotencyKey, UsedProof } from "./acts/state.ts";

/** A request to execute, as a listener hands it over. Everything in it is the sender's word but the peer. */
export interface ExecuteRequest {
  readonly actionId: string;
  readonly method: string;
  /** As sent, without query. */
  readonly path: string;
  readonly bases: readonly ProofBase[];
  readonly authorization: readonly string[];
  readonly dpop: readonly string[];
  readonly idempotencyKey: readonly string[];
  readonly dryRun: boolean;
  /** The kernel's word on who is connected. */
  readonly peerUid: number;
  body(): Promise<Uint8Array>;
}

/** Who asks, as proven. */
export interface Caller {
  readonly tenant: string;
  readonly principal: string;
  readonly sessionId: string;
  /** Thumbprint of the key that the session's proofs are made with. */
  readonly jkt: string;
  readonly scopes: readonly string[];
  readonly epoch: number;
}

export interface Admitted {
  readonly traceId: string;
  readonly request: ExecuteRequest;
  readonly boundary: Boundary;
}

export interface Authenticated extends Admitted {
  readonly caller: Caller;
  readonly proof: UsedProof & { readonly bodyHash: string | null };
}

export interface Resolved extends Authenticated {
  readonly action: Action;
  readonly generation: number;
  /** Digest of the component that will run. */
  readonly component: string;
}

export interface Validated extends Resolved {
  readonly params: JsonObject;
  /** `sha256:` over the canonical parameters, defaults included. */
  readonly requestHash: string;
  readonly idempotency: IdempotencyKey | null;
}

/** The exact effect with everything that it may use; from here on a held call and a fresh one are the same thing. */
export interface PlannedCall {
  readonly traceId: string;
  readonly boundary: Boundary;
  readonly caller: Caller;
  readonly action: Action;
  readonly generation: number;
  readonly component: string;
  readonly params: JsonObject;
  readonly requestHash: string;
  readonly plan: Plan;
  /** `sha256:` over the stored call: what an approver sees and signs. */
  readonly planHash: string;
  readonly limits: CallLimits;
  readonly unresolved: { readonly hosts: readonly string[]; readonly paths: readonly string[] };
  readonly policyParams: Readonly<Record<string, string | number | boolean | null>>;
  /** Parameters, plan and limits as stored, with the salt of every commitment of this call. */
  readonly payload: Payload;
  readonly commitment: Commitment;
}

export interface Planned extends PlannedCall {
  readonly proof: UsedProof;
  readonly idempotency: IdempotencyKey | null;
  readonly dryRun: boolean;
}

/** What made the call: the agent's proof, or an approval. One cause, one grant. */
export type Cause =
  | { readonly kind: "proof"; readonly proof: UsedProof; readonly idempotency: IdempotencyKey | null }
  | { readonly kind: "approval"; readonly approvalId: string; readonly approvers: readonly string[] };

export interface Authorized {
  readonly call: PlannedCall;
  readonly cause: Cause;
  readonly decision: PolicyDecision;
}

/** A grant that is durable. It cannot be made otherwise than by the grant transaction. */
export interface Granted extends Authorized {
  readonly grantId: string;
  readonly seq: number;
  readonly startedMs: number;
  readonly startedMonotonic: number;
  /** Monotonic milliseconds. */
  readonly deadline: number;
  readonly signal: AbortSignal;
}

export interface Dispatched extends Granted {
  /** What the component said; null when it said nothing valid. A claim, nothing more. */
  readonly output: Json | null;
  /** Code of what ended the run early; null when the component returned. */
  readonly ended: string | null;
  readonly effects: readonly ObservedEffect[];
  /** What the last read-back brought; null without. */
  readonly readBack: HttpAnswer | null;
  readonly ioCalls: number;
  /** Fuel used and most memory had, as the runner counted them; null when it never said. */
  readonly fuel: number | null;
  readonly peakMemoryBytes: number | null;
  /** Places of the answer and of `output` where a credential was taken out. */
  readonly redactions: number;
}

export type ReceiptStatus = EntryBody<"call.receipt">["status"];

export interface Verified extends Dispatched {
  readonly status: ReceiptStatus;
  readonly dispatched: "no" | "yes" | "unknown";
  readonly confirmed: boolean;
  /** What the caller gets; null when it is withheld or there is none. */
  readonly answer: Json | null;
  readonly verification: { readonly outcome: string; readonly reasons: readonly string[] };
  readonly error: string | null;
}
