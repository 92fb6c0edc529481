import type { Boundary } from "../ledger/entry/types.ts";
import type { Admitted, ExecuteRequest } from "./call.ts";
import type { Gate } from "./gate.ts";
import { type Refusal, refuse } from "./refusal.ts";

/** Step 1: is the gate taking calls? (Load per peer is shed by the listener, before this.) */
export function admit(gate: Gate, request: ExecuteRequest): Admitted | Refusal {
  if (gate.state.draining)
    return refuse("draining", 503, "the gate is stopping and takes no new calls", {
      hint: "try again when it is back",
      retryAfterSeconds: 5,
    });
  return { traceId: gate.newId(), request, boundary: boundaryOf(gate, request.peerUid) };
}

/** What stands between the agent and the gate's keys: another account, or nothing. */
export function boundaryOf(gate: Gate, peerUid: number): Boundary {
  return peerUid === gate.uid || peerUid === 0 ? "same_uid" : "uid";
}
