import { effect } from "./effects.ts";
import {
  boolean,
  closed,
  either,
  type Infer,
  integer,
  list,
  nullable,
  oneOf,
  pattern,
  type Schema,
  shaped,
  text,
} from "./schema.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const id = pattern(UUID, "a uuidv7");
const time = pattern(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/, "an rfc 3339 time with milliseconds");
const hash = pattern(/^[0-9a-f]{64}$/, "64 hex digits");
const digest = pattern(/^sha256:[0-9a-f]{64}$/, "a sha256 digest");
const thumbprint = pattern(/^[A-Za-z0-9_-]{43}$/, "an rfc 7638 thumbprint");
const name = text(256);

/**
 * A salted commitment, `SHA-256(salt ‖ bytes)`: names a payload without telling it. The salt lives with the payload
 * and goes with it.
 */
const commitment = closed({ commitment: hash, bytes: integer });
const reason = closed({ code: name, text: text(600), rule: name });
/** Agent's uid differs from the gate's, agent is jailed, or both share one account (not a boundary). */
const boundary = oneOf("jailed", "uid", "same_uid");
const risk = oneOf("low", "medium", "high", "critical");
const ed25519 = closed({ kty: oneOf("OKP"), crv: oneOf("Ed25519"), x: thumbprint });
const p256 = closed({ kty: oneOf("EC"), crv: oneOf("P-256"), x: thumbprint, y: thumbprint });
const anyJwk = either(ed25519, p256);

const caller = { trace_id: id, tenant: name, principal: name, session_id: id } as const;
const action = { action_id: name, action_version: name, action_digest: digest } as const;

/** C2SP tlog-cosignature, `cosignature/v1`; seconds since the epoch, raw Ed25519 key and signature as base64url. */
const cosignature = closed({
  witness: name,
  public_key: thumbprint,
  timestamp: integer,
  signature: pattern(/^[A-Za-z0-9_-]{86}$/, "a signature"),
});
/** RFC 3161 TimeStampToken: who the gate calls it, SHA-256 of the signer's certificate, its genTime, the DER as base64url. */
const timestamp = closed({
  kind: oneOf("rfc3161"),
  authority: name,
  certificate: digest,
  time,
  token: text(43_691),
});

const granted = {
  hosts: list(text(255)),
  paths: list(hash),
  connections: list(name),
  secrets: list(name),
} as const;

/**
 * Of a component that computes its own requests: where each of them has to lie, but for its path, and which credentials
 * it may carry there. Grants of exact plans do not have it.
 */
const envelope = closed({
  /** Most requests. */
  calls: integer,
  /** Each request is of one of them with its host (exact, or below `*.example.com`), its method and its port. */
  targets: list(
    closed({ hosts: list(text(255), 16), methods: list(name, 16), ports: list(integer, 16) }),
    16,
  ),
  /** Origins that may be spoken to without TLS. */
  plain: list(text(512)),
  secrets: list(closed({ secret: name, origin: text(512) })),
});

/** The body of each entry type, version 1. Nothing else may be in an entry. */
export const BODIES = {
  "log.opened": closed({
    schema: integer,
    gate_version: name,
    keys: closed({ evidence: ed25519, checkpoint: ed25519, lease: p256, recovery: ed25519 }),
  }),
  "gate.started": closed({
    gate_version: name,
    boundary,
    epoch: integer,
    policy_version: name,
    registry_digest: digest,
    unsafe: list(name),
  }),
  "gate.stopped": closed({ reason: name }),
  "registry.loaded": closed({ generation: integer, registry_digest: digest, actions: integer }),
  /** Who may decide as an operator from here on: all of them, as the configuration of this run of the gate has them. */
  "operators.loaded": closed({
    operators: list(
      closed({
        id: name,
        /** Of the public key; a signed statement carries the key itself. */
        jkt: thumbprint,
        /** The one tenant that they may decide for; null for all. */
        tenant: nullable(name),
        /** Principals that they act as, whose calls they can't approve. */
        principals: list(name),
      }),
      1024,
    ),
  }),
  "policy.changed": closed({ policy_version: name, previous: nullable(name) }),
  "lease.issued": closed({
    ...caller,
    lease_jti: id,
    jkt: thumbprint,
    scopes: list(name),
    identity_method: name,
    peer_uid: nullable(integer),
    expires: time,
    max_calls: nullable(integer),
    epoch: integer,
    fs_root: nullable(commitment),
  }),
  "call.denied": closed({
    ...caller,
    jkt: thumbprint,
    action_id: name,
    action_digest: nullable(digest),
    approval_id: nullable(id),
    code: name,
    status: integer,
    reasons: list(reason),
    request: nullable(commitment),
    policy_version: nullable(name),
    boundary,
    decision: oneOf("deny", "error"),
  }),
  "call.held": closed({
    ...caller,
    ...action,
    jkt: thumbprint,
    approval_id: id,
    risk,
    /** One payload: parameters, plan and limits, exactly as they will run. */
    call: commitment,
    reasons: list(reason),
    policy_version: name,
    quorum: integer,
    epoch: integer,
    expires: time,
    boundary,
    decision: oneOf("pending_approval"),
  }),
  "approval.decided": closed({
    ...caller,
    ...action,
    approval_id: id,
    call: commitment,
    decision: oneOf("approve", "deny", "expire", "fail"),
    /** Null when nobody decided: time or a fault did. */
    operator: nullable(
      closed({ id: name, jkt: thumbprint, method: oneOf("operator_dpop", "signed_statement") }),
    ),
    statement: nullable(text(4096)),
    reason: nullable(text(600)),
    votes: integer,
    quorum: integer,
  }),
  "call.granted": closed({
    ...caller,
    ...action,
    jkt: thumbprint,
    grant_id: id,
    component_digest: digest,
    risk,
    cause: closed({
      kind: oneOf("proof", "approval"),
      proof: nullable(hash),
      approval_id: nullable(id),
      idempotency: nullable(hash),
    }),
    approvers: list(thumbprint),
    call: commitment,
    policy_version: name,
    generation: integer,
    granted: either(closed(granted), closed({ ...granted, envelope })),
    limits: closed({
      timeout_ms: integer,
      fuel: integer,
      memory_mb: integer,
      io_calls: integer,
      request_bytes: integer,
      response_bytes: integer,
    }),
    budget: closed({ reserved_calls: integer, remaining_calls: nullable(integer) }),
    epoch: integer,
    not_after: time,
    boundary,
    decision: oneOf("grant"),
  }),
  "call.receipt": closed({
    ...caller,
    ...action,
    receipt_id: id,
    grant_id: id,
    component_digest: digest,
    status: oneOf(
      "executed",
      "failed",
      "rejected_response",
      "verification_failed",
      "timed_out",
      "indeterminate",
    ),
    /** Whether a byte of the effect left the gate, as the host saw it. */
    dispatched: oneOf("no", "yes", "unknown"),
    /** Whether the other side's complete answer was seen. */
    confirmed: boolean,
    /** What the component said; a claim, not an observation. */
    claim: nullable(commitment),
    effects: list(effect),
    verification: closed({ outcome: name, reasons: list(text(600)) }),
    error: nullable(name),
    started: time,
    finished: time,
    duration_ms: integer,
    io_calls: integer,
    fuel: nullable(integer),
    peak_memory_bytes: nullable(integer),
    /** Places where a credential was found and taken out: of answers, and of what the component made of them. */
    redactions: integer,
    budget: closed({ committed_calls: integer, released_calls: integer }),
    boundary,
    decision: oneOf("allow", "allow_unverified", "deny", "error"),
  }),
  revocation: closed({
    trace_id: id,
    scope: oneOf("all"),
    previous_epoch: integer,
    epoch: integer,
    operator: name,
    jkt: thumbprint,
  }),
  "key.rotated": closed({
    purpose: oneOf("evidence", "checkpoint", "lease"),
    previous_kid: thumbprint,
    jwk: anyJwk,
    kid: thumbprint,
    possession: pattern(/^[A-Za-z0-9_-]{86}$/, "a signature"),
  }),
  /** Written only when a quorum of configured witnesses and time-stamp authorities has signed, each signature verified. */
  "checkpoint.anchored": closed({
    size: integer,
    root: hash,
    /** How many of the configured witnesses and time-stamp authorities had to sign. */
    quorum: integer,
    /** Over the text of the checkpoint's note: C2SP cosignatures and RFC 3161 time stamps, in any order. */
    cosignatures: list(either(cosignature, timestamp), 64),
  }),
  /**
   * The recovery key's word that a key's entries stand only up to a tree of the log (`statement`, see
   * keys/revocation-statement.ts). With an evidence key's successor, the successor signs this entry.
   */
  "key.revoked": closed({
    purpose: oneOf("evidence", "checkpoint", "lease"),
    kid: thumbprint,
    size: integer,
    root: hash,
    /** RFC 6962 §2.1.2, from the tree of `size` to the tree before this entry. */
    consistency: list(hash, 64),
    successor: nullable(
      closed({ jwk: anyJwk, kid: thumbprint, possession: pattern(/^[A-Za-z0-9_-]{86}$/, "a signature") }),
    ),
    statement: text(4096),
  }),
  /** Stored bodies that were destroyed, with the salts of their commitments: older than `before`, and not in use. */
  "payload.pruned": closed({
    before: time,
    payloads: integer,
    bytes: integer,
    /** Over the commitments in ascending order, each followed by a line feed. */
    commitments: digest,
    cause: oneOf("retention", "operator"),
    /** Null when retention did it, or it was done in the files of a stopped gate. */
    operator: nullable(closed({ id: name, jkt: thumbprint })),
  }),
  /** The clock stands before an earlier entry's time. What follows carries its time; expiry goes by `high_water`. */
  "clock.regressed": closed({ high_water: time }),
  "shed.summary": closed({
    since: time,
    until: time,
    counts: list(closed({ peer: name, reason: name, count: integer }), 1024),
  }),
} as const;

export type EntryType = keyof typeof BODIES;
export type EntryBody<T extends EntryType> = Infer<(typeof BODIES)[T]>;
export type Commitment = Infer<typeof commitment>;
export type EffectRecord = Infer<typeof effect>;
export type Boundary = Infer<typeof boundary>;

/** What every entry has, whatever its type. */
export interface Envelope {
  readonly v: 1;
  readonly log: string;
  readonly seq: number;
  readonly id: string;
  readonly type: EntryType;
  /** RFC 3339, milliseconds. */
  readonly time: string;
  /** Hex leaf hash of the entry before; null at 0. */
  readonly prev: string | null;
}

const everyEntry = {
  v: shaped<1>({ const: 1 }, (value, at) => (value === 1 ? null : `${at}: not 1`), "1"),
  log: id,
  seq: integer,
  id,
  time,
  prev: nullable(hash),
};

/** Whole payloads by type: envelope and body in one closed object. */
export const PAYLOADS: ReadonlyMap<
  string,
  Schema<unknown> & { readonly members: Readonly<Record<string, Schema<unknown>>> }
> = new Map(
  Object.entries(BODIES).map(([type, body]) => [
    type,
    closed({ ...everyEntry, type: oneOf(type), ...(body.members as Record<string, Schema<unknown>>) }),
  ]),
);
