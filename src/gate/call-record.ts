import type { PlannedCall } from "./call.ts";

/** Who asked for what, as every entry about a planned call has it. */
export function callRecord({ traceId, caller, action }: PlannedCall) {
  return {
    trace_id: traceId,
    tenant: caller.tenant,
    principal: caller.principal,
    session_id: caller.sessionId,
    action_id: action.id,
    action_version: action.version,
    action_digest: action.digest,
  };
}
