import { type ObservedEffect, withoutReadBacks } from "../core/effect.ts";
import { isJsonObject } from "../core/json.ts";
import type { Dispatched, ReceiptStatus, Verified } from "./call.ts";

/**
 * Step 10: what really happened? The host's own observations against the plan and the manifest's expectation. What
 * the component says counts for nothing that the host did not see.
 */
export function verify(ran: Dispatched): Verified {
  // Whether and how something happened is told by the effect; what came of it, by the read-backs.
  const effects = withoutReadBacks(ran.effects);
  const reached = farthest(effects);
  const dispatched = reached === "none" ? "no" : reached === "maybe" ? "unknown" : "yes";
  const confirmed = reached === "confirmed";
  const base = { ...ran, dispatched, confirmed } as const;
  const hostError = effects.findLast((effect) => effect.error !== null)?.error ?? null;
  if (ran.ended !== null || ran.output === null) {
    const error = ran.ended ?? "invalid_output";
    return {
      ...base,
      status: endedStatus(reached, timedOut(error, hostError)),
      answer: null,
      verification: { outcome: "provider_failed_before_verification", reasons: [error] },
      // A run that ends closes its door: then the host's "cancelled" is what came of it, not why.
      error: hostError === null || hostError === "cancelled" ? error : hostError,
    };
  }
  const { action, plan, params } = ran.call;
  const claimed = claimedError(ran.output);
  if (reached !== "confirmed")
    return {
      ...base,
      status: endedStatus(reached, timedOut(claimed, hostError)),
      answer: null,
      verification: { outcome: "verification_failed", reasons: ["the host saw no complete effect"] },
      error: hostError ?? claimed ?? "no_effect",
    };
  const answer = action.shape(ran.output);
  const verification = action.expect(ran.output, ran.effects, plan, params, ran.readBack);
  const withheld = action.risk.level === "high" || action.risk.level === "critical";
  switch (verification.outcome) {
    case "rejected_response":
      return { ...base, status: "rejected_response", answer: null, verification, error: "schema_violation" };
    case "verification_failed":
      return {
        ...base,
        status: "verification_failed",
        answer: withheld ? null : answer,
        verification,
        error: hostError ?? "verification_failed",
      };
    default:
      return { ...base, status: "executed", answer, verification, error: null };
  }
}

function farthest(effects: readonly ObservedEffect[]): ObservedEffect["reached"] {
  const reached = effects.map((effect) => effect.reached);
  // One that may have happened weighs more than one that did: then not everything is known.
  if (reached.includes("maybe")) return "maybe";
  return reached.includes("confirmed") ? "confirmed" : "none";
}

/** `failed` only where provably no byte of the effect left the gate. */
function endedStatus(reached: ObservedEffect["reached"], timeout: boolean): ReceiptStatus {
  if (reached === "none") return "failed";
  if (timeout) return "timed_out";
  return "indeterminate";
}

const TIMEOUTS: ReadonlySet<string> = new Set([
  "deadline",
  "header_timeout",
  "idle_timeout",
  "connect_timeout",
  "statement_timeout",
]);

function timedOut(...codes: readonly (string | null)[]): boolean {
  return codes.some((code) => code !== null && TIMEOUTS.has(code));
}

function claimedError(output: Dispatched["output"]): string | null {
  if (output === null || !isJsonObject(output)) return null;
  const error = output.error;
  if (error === undefined || !isJsonObject(error)) return null;
  return typeof error.code === "string" && /^[a-z_]{1,64}$/.test(error.code) ? error.code : null;
}
