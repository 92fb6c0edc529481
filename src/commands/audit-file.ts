import type { JsonObject } from "../core/json.ts";
import { readUnresolved } from "../ledger/verify/unresolved.ts";
import { UsageError } from "./exit-code.ts";

/** Filters that a gate applies, and a file does not have. */
const FILTERS = [
  "action",
  "principal",
  "decision",
  "type",
  "trace-id",
  "session-id",
  "after",
  "before",
  "limit",
] as const;

/** Grants without a receipt in a ledger file, as the events that a gate would show. */
export function readUnresolvedFile(
  args: Readonly<Partial<Record<(typeof FILTERS)[number], string | undefined>>> & {
    readonly ledger: string | undefined;
    readonly unresolved: boolean;
  },
): readonly JsonObject[] {
  if (args.ledger === undefined || !args.unresolved)
    throw new UsageError("--ledger reads the unresolved calls of a file", "add --unresolved");
  for (const name of FILTERS)
    if (args[name] !== undefined) throw new UsageError(`--${name} and --ledger exclude each other`);
  return readUnresolved(args.ledger).map((grant) => ({
    timestamp: grant.time,
    event_type: "action_call",
    type: grant.type,
    seq: grant.seq,
    grant_id: grant.grant_id,
    trace_id: grant.trace_id,
    tenant: grant.tenant,
    principal: grant.principal,
    session_id: grant.session_id,
    action_id: grant.action_id,
    decision: grant.decision,
    deny_reason: null,
  }));
}
