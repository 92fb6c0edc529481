import { messageOf } from "../core/errors.ts";
import type { Place } from "../sandbox/index.ts";
import type { Authorized, Dispatched, Verified } from "./call.ts";
import { dispatch } from "./dispatch.ts";
import type { Gate } from "./gate.ts";
import { grant, grantsWholePlan } from "./grant.ts";
import { record } from "./record.ts";
import { isRefusal, type Refusal } from "./refusal.ts";
import type { Outcome } from "./respond.ts";
import { verify } from "./verify.ts";

/**
 * Steps 8 to 11, the same to the letter for a call that went straight through and for one that a human approved.
 *
 * @param place with the runners, taken before: a grant that finds no runner would be used up for nothing
 */
export async function perform(gate: Gate, authorized: Authorized, place: Place): Promise<Outcome | Refusal> {
  const partial = grantsWholePlan(authorized);
  if (partial !== null) return partial;
  const granted = await grant(gate, authorized);
  if (isRefusal(granted)) return granted;
  const dispatched = await dispatch(gate, granted, place);
  const verified = verifySafely(dispatched);
  const { receiptId } = await record(gate, verified);
  return {
    traceId: granted.call.traceId,
    actionId: granted.call.action.id,
    grantId: granted.grantId,
    receiptId,
    status: verified.status,
    dispatched: verified.dispatched,
    confirmed: verified.confirmed,
    verification: verified.verification,
    error: verified.error,
    durationMs: Math.max(0, Math.round(gate.clock.monotonic() - granted.startedMonotonic)),
    fuel: verified.fuel,
    boundary: granted.call.boundary,
    output: verified.answer,
  };
}

/** A fault of ours in judging an effect must not cost its receipt. */
function verifySafely(dispatched: Dispatched): Verified {
  try {
    return verify(dispatched);
  } catch (error) {
    return verify({
      ...dispatched,
      output: null,
      ended: `internal_error: ${messageOf(error)}`.slice(0, 200),
    });
  }
}
