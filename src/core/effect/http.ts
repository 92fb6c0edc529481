import type { HttpMethod } from "../plan.ts";
import type { EffectEnd } from "./reached.ts";

export interface HttpEffect extends EffectEnd {
  readonly kind: "http";
  /** The planned request, or one that the gate made by itself afterwards to see what came of it. */
  readonly purpose: "effect" | "read_back";
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
}
