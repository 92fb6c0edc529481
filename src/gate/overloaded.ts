import { type Refusal, refuse } from "./refusal.ts";

/** There is no room for one more call: said before the grant, so that nothing is used up by it. */
export function overloaded(): Refusal {
  return refuse("overloaded", 503, "too many calls wait for a runner; nothing of this one has begun", {
    hint: "try again, with the same Idempotency-Key if you gave one",
    retryAfterSeconds: 1,
  });
}
