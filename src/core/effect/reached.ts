import type { HostErrorCode } from "./error-code.ts";

/**
 * How far an effect got: `none` when provably no byte of it left the gate, `maybe` when a byte may have left and no
 * complete answer came back, `confirmed` when the other side answered in full or the operation returned.
 */
export type Reached = "none" | "maybe" | "confirmed";

/** What every effect has. */
export interface EffectEnd {
  readonly reached: Reached;
  /** Stable code when it did not end well. */
  readonly error: HostErrorCode | null;
}
