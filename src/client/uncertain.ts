import { ClientError, TransportError } from "./errors.ts";

/**
 * For a call that has an effect: once it has been sent, no answer and an unreadable one both mean that the effect
 * may have happened, and that is what the caller must hear.
 */
export async function orEffectUnknown<T>(work: () => Promise<T>, what: string, hint: string): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const sent = cause instanceof TransportError && cause.sent;
    const unreadable = cause instanceof ClientError && cause.code === "malformed_answer";
    if (!sent && !unreadable) throw cause;
    throw new ClientError("effect_unknown", `${what}: ${cause.message}`, { hint, cause });
  }
}
