import type { HttpAnswer } from "../core/host-call.ts";
import type { Json } from "../core/json.ts";
import type { GuardedDoor } from "../host/index.ts";
import type { Granted } from "./call.ts";
import type { Gate } from "./gate.ts";

export interface ReadBack {
  /** What the last request brought; null when it brought nothing, or there was none. */
  readonly answer: HttpAnswer | null;
  /** Requests that were asked of the door. */
  readonly calls: number;
}

const NONE: ReadBack = { answer: null, calls: 0 };

/** After one of these another request would end in the same way. */
const FINAL: ReadonlySet<string> = new Set([
  "deadline",
  "cancelled",
  "io_budget_exceeded",
  "not_granted",
  "malformed_response",
  "host_not_allowed",
  "secret_missing",
  "secret_invalid",
  "secrets_damaged",
]);

/**
 * Looks whether the effect is there, where the plan says how: after an effect that is as expected, through the same
 * door, until the planned assertions hold or attempts, host calls or the call's time are used up. It only reads: what it
 * finds or misses leads to no other effect.
 */
export async function readBack(
  gate: Gate,
  door: GuardedDoor,
  { call, deadline, signal }: Granted,
  output: Json,
): Promise<ReadBack> {
  const { action, plan, params } = call;
  if (plan.kind !== "http" || plan.readBack === null) return NONE;
  if (!action.mayReadBack(output, door.effects(), plan, params)) return NONE;
  const { attempts, intervalMs } = plan.readBack;
  for (let calls = 1; ; calls++) {
    const got = await door.readBack();
    const answer = typeof got === "string" ? null : got;
    if (answer !== null && action.readsBack(answer, plan)) return { answer, calls };
    const over = calls >= attempts || (typeof got === "string" && FINAL.has(got));
    // Beyond its deadline the call would wait for nothing.
    if (over || gate.clock.monotonic() + intervalMs >= deadline) return { answer, calls };
    await pause(intervalMs, signal);
  }
}

/** Ends early, without complaint, when the call does: the door refuses what comes after. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
  });
}
