import { type Refusal, refuse } from "./refusal.ts";

/** Answers that would rest on an entry whose key was revoked for it: it proves nothing, so nothing is said from it. */
export function repudiatedRefusal(what: "call" | "receipt"): Refusal {
  return what === "call"
    ? refuse("call_repudiated", 409, "the held call stands in an entry whose key has been revoked", {
        hint: "the agent must ask again, under a fresh idempotency key",
      })
    : refuse(
        "receipt_repudiated",
        409,
        "the receipt of this call was signed by a key that has been revoked",
        {
          hint: "the effect may have happened: look at it before asking again under a fresh idempotency key",
        },
      );
}
