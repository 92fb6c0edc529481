import { LatchGateError } from "../core/errors.ts";

export type ProviderFault =
  | "provider_build_failed"
  | "provider_exists"
  | "provider_in_use"
  | "provider_invalid"
  | "provider_not_found"
  | "toolchain_missing";

/** What went wrong with a provider of an operator, with one of the codes of {@link ProviderFault}. */
export class ProviderError extends LatchGateError {
  override readonly code: ProviderFault;

  constructor(code: ProviderFault, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(code, message, options);
    this.code = code;
  }
}
