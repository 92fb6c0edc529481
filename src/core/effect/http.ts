import type { HttpMethod } from "../plan.ts";
import type { EffectEnd } from "./reached.ts";

export interface HttpEffect extends EffectEnd {
  readonly kind: "http";
  readonly method: HttpMethod;
  /** `scheme://host[:port]`. */
  readonly origin: string;
  /** Normalised path and query, to be committed to and not shown. */
  readonly target: string;
  /** The pinned address that was dialled; null when none was. */
  readonly address: string | null;
  readonly requestBytes: number;
  /** SHA-256 hex of the request body; null without one. */
  readonly requestHash: string | null;
  /** Null when no status line arrived. */
  readonly status: number | null;
  /** Body bytes received so far. */
  readonly responseBytes: number;
  /** SHA-256 hex of the whole body as received; null when it was cut off. */
  readonly responseHash: string | null;
}
