import { parseRfc3339 } from "../../core/clock.ts";
import type { Json, JsonObject } from "../../core/json.ts";
import { selfCommand } from "../../core/self.ts";
import { isRefusal, refuse } from "../../gate/refusal.ts";
import type { Answer } from "../../gate/respond.ts";
import type { EventFilter, ReadEntry } from "../../ledger/reader.ts";
import { ok, operatorOf, refusalAnswer, type ServerContext } from "../context.ts";
import { type FrontRequest, HttpFault } from "../front/index.ts";
import { readLimit, readQuery } from "../query.ts";
import { ADMIN, type Route } from "../router.ts";

export const auditRoutes: readonly Route[] = [
  { method: "GET", path: "/v1/audit/events", sockets: ADMIN, handle: events },
  { method: "GET", path: "/v1/audit/verify", sockets: ADMIN, handle: verify },
];

/** The names that entries had on the earlier wire. */
const EVENT_TYPES: Readonly<Record<string, string>> = {
  "call.denied": "action_call",
  "call.held": "action_call",
  "call.granted": "action_call",
  "call.receipt": "action_call",
  "approval.decided": "action_call",
  "lease.issued": "lease_issued",
  revocation: "admin_revoke_all",
};

function events(context: ServerContext, request: FrontRequest): Answer {
  const operator = operatorOf(context, request, "read");
  if (isRefusal(operator)) return refusalAnswer(operator);
  const query = readQuery(request.query);
  const { gate } = context;
  const { tenant } = operator.operator;
  const read =
    query.get("unresolved") === "1"
      ? gate.reader.openGrants().filter(({ payload }) => tenant === null || tenantOf(payload) === tenant)
      : gate.reader.events(filterOf(query, tenant));
  return ok({ events: read.map(eventView) });
}

function tenantOf(payload: ReadEntry["payload"]): string | null {
  return "tenant" in payload ? payload.tenant : null;
}

/** The types of entries that a name of an event stands for, of this wire or the earlier one. */
function typesNamed(name: string): readonly string[] {
  const earlier = Object.keys(EVENT_TYPES).filter((type) => EVENT_TYPES[type] === name);
  return earlier.length > 0 ? earlier : [name];
}

function filterOf(query: ReadonlyMap<string, string>, tenant: string | null): EventFilter {
  const filter: { -readonly [K in keyof EventFilter]: EventFilter[K] } = {
    limit: readLimit(query.get("limit"), 100, 1000),
  };
  for (const name of ["trace_id", "action_id", "principal", "decision", "session_id"] as const) {
    const value = query.get(name);
    if (value !== undefined) filter[name] = value;
  }
  const eventType = query.get("event_type") ?? query.get("type");
  if (eventType !== undefined) filter.types = typesNamed(eventType);
  for (const name of ["after", "before"] as const) {
    const text = query.get(name);
    if (text === undefined) continue;
    const ms = parseRfc3339(text) ?? Date.parse(text);
    if (!Number.isFinite(ms)) throw new HttpFault(400, "bad_request", `${name} must be an rfc 3339 time`);
    filter[name] = ms;
  }
  const after = query.get("after_seq");
  if (after !== undefined) {
    if (!/^\d{1,15}$/.test(after))
      throw new HttpFault(400, "bad_request", "after_seq must be a whole number");
    filter.afterSeq = Number(after);
  }
  if (tenant !== null) filter.tenant = tenant;
  return filter;
}

/** One entry as a flat event: what the earlier wire has, then the entry's own members. */
function eventView(entry: ReadEntry): JsonObject {
  const body = entry.payload as unknown as { readonly [name: string]: Json }; // closed schema of json values
  const text = (name: string): Json => (typeof body[name] === "string" ? body[name] : "");
  const { type, time, v: _v, log: _log, prev, ...rest } = body;
  return {
    ...rest,
    timestamp: time ?? "",
    type: type ?? "",
    event_type: EVENT_TYPES[String(type)] ?? String(type),
    trace_id: text("trace_id"),
    principal: text("principal"),
    session_id: text("session_id"),
    action_id: text("action_id"),
    decision: text("decision"),
    deny_reason: denyReason(body),
    prev_hash: prev ?? null,
    leaf_hash: entry.leafHash,
    signing_key_id: entry.kid,
    signature_status: entry.status,
    dev_mode: false,
    sandbox_degraded: false,
  };
}

function denyReason(body: { readonly [name: string]: Json }): Json {
  const reasons = body.reasons;
  if (!Array.isArray(reasons) || body.type !== "call.denied") return null;
  const texts = (reasons as readonly { readonly text?: string }[]).map((reason) => reason.text ?? "");
  return texts.length > 0 ? texts.join("; ") : (body.code ?? null);
}

/**
 * The whole check, by the verifier itself in a process of its own: the gate's loop goes on. The gate vouches for its
 * own fingerprint here; an auditor runs `latchgate verify` with the one that was noted.
 */
async function verify(context: ServerContext, request: FrontRequest): Promise<Answer> {
  const operator = operatorOf(context, request, "read");
  if (isRefusal(operator)) return refusalAnswer(operator);
  const kid = context.gate.reader.keys().find((key) => key.purpose === "evidence")?.kid ?? "";
  const child = Bun.spawn([...selfCommand, "verify", context.ledgerPath, `--trust=${kid}`, "--json"], {
    env: { PATH: "/usr/bin:/bin" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
  });
  const report = await new Response(child.stdout).text();
  await child.exited;
  let result: { verdict?: string; entries?: number; first_damage?: { trace_id?: string | null } | null };
  try {
    result = JSON.parse(report);
  } catch {
    return refusalAnswer(refuse("ledger_error", 500, "the verifier could not read the ledger"));
  }
  const entries = result.entries ?? 0;
  return ok({
    intact: result.verdict === "intact",
    total_events: entries,
    verified_links: entries,
    broken_at: result.first_damage?.trace_id ?? null,
    report: result as unknown as Json, // parsed from the verifier's json
  });
}
