import type { FsOperation, HttpMethod } from "./plan.ts";

/**
 * What the host itself saw of one effect. Brokers append one record per host call that passed their checks, before
 * the first byte leaves, and complete it afterwards.
 *
 * `reached` says how far the effect got: `none` when provably no byte of it left the gate, `maybe` when a byte may
 * have left and no complete answer came back, `confirmed` when the other side answered in full (http) or the
 * operation returned (fs).
 */
export type ObservedEffect = HttpEffect | FsEffect;

export interface HttpEffect {
  readonly kind: "http";
  readonly method: HttpMethod;
  /** `scheme://host[:port]`. */
  readonly origin: string;
  /** Normalised path and query as planned, without any credential; to be committed to and not shown. */
  readonly target: string;
  /** The pinned address that was dialled; null when none was. */
  readonly address: string | null;
  readonly requestBytes: number;
  /**
   * SHA-256 hex of the request body as planned; null without one. What was sent may hold a credential beside it: a
   * hash over that would let anybody who knows the rest guess a weak one.
   */
  readonly requestHash: string | null;
  /** Null when no status line arrived. */
  readonly status: number | null;
  /** Body bytes received so far, still encoded. */
  readonly responseBytes: number;
  /** SHA-256 hex of the whole body as handed on: decoded, and without credentials; null when it was cut off. */
  readonly responseHash: string | null;
  /** Names of the secrets that were put into the request; empty until then. */
  readonly secrets: readonly string[];
  /** Places of the answer where a form of a credential was taken out. */
  readonly scrubbed: number;
  readonly reached: Reached;
  /** Stable code when it did not end well: see `HostErrorCode`. */
  readonly error: HostErrorCode | null;
}

export interface FsEffect {
  readonly kind: "fs";
  readonly operation: FsOperation;
  /** Canonical path relative to the root, to be committed to and not shown. */
  readonly path: string;
  /** Decimal text, as inode numbers pass 2^53. */
  readonly device: string | null;
  readonly inode: string | null;
  readonly beforeHash: string | null;
  readonly afterHash: string | null;
  readonly bytesBefore: number | null;
  readonly bytesAfter: number | null;
  readonly reached: Reached;
  readonly error: HostErrorCode | null;
}

export type Reached = "none" | "maybe" | "confirmed";

/** Stable codes of host I/O. The fs ones are those of the WIT `fs-error` (snake case). */
export type HostErrorCode =
  // any broker
  | "differs_from_plan"
  | "not_granted"
  | "io_budget_exceeded"
  | "deadline"
  | "cancelled"
  // credentials; the first three are the codes of a SecretSource
  | "secret_missing"
  | "secrets_unavailable"
  | "secrets_damaged"
  | "secret_invalid"
  // http
  | "scheme_not_allowed"
  | "port_not_allowed"
  | "host_not_allowed"
  | "address_not_public"
  | "header_not_allowed"
  | "request_too_large"
  | "dns_failed"
  | "connect_failed"
  | "connect_timeout"
  | "tls_failed"
  | "proxy_refused"
  | "header_timeout"
  | "idle_timeout"
  | "connection_reset"
  | "malformed_response"
  | "response_too_large"
  // fs
  | "operation_not_allowed"
  | "path_not_allowed"
  | "path_denied"
  | "path_not_found"
  | "path_invalid"
  | "already_exists"
  | "too_large"
  | "symlink_escape"
  | "traversal"
  | "special_file"
  | "conflict"
  | "invalid_content"
  | "io_error";
