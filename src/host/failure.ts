import type { HostErrorCode } from "../core/effect.ts";
import { LatchGateError } from "../core/errors.ts";

/**
 * A host call that did not end well. Thrown inside this room only: the door turns it into a code, and the component
 * never sees the message or the cause.
 */
export class HostFailure extends LatchGateError {
  declare readonly code: HostErrorCode;

  constructor(code: HostErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(code, message, options);
  }
}

/** A setting of the brokers that cannot be used; code `host_setup`. */
export class HostSetupError extends LatchGateError {
  constructor(message: string, options: { hint?: string; cause?: unknown } = {}) {
    super("host_setup", message, options);
  }
}

/** The failure behind anything thrown; what nobody foresaw takes the given code. */
export function failureOf(thrown: unknown, otherwise: HostErrorCode): HostFailure {
  if (thrown instanceof HostFailure) return thrown;
  return new HostFailure(otherwise, "host operation failed", { cause: thrown });
}
