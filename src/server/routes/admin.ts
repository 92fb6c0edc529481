import { listHolds } from "../../approvals/state.ts";
import { isJsonObject, JsonError, parseJson } from "../../core/json.ts";
import { isRefusal, refuse } from "../../gate/refusal.ts";
import type { Answer } from "../../gate/respond.ts";
import { fingerprint } from "../../keys/jwk.ts";
import { ok, operatorBody, operatorOf, refusalAnswer, type ServerContext } from "../context.ts";
import { evidenceStatus } from "../evidence.ts";
import type { FrontRequest } from "../front/index.ts";
import { rotateGateKey } from "../keys.ts";
import { ADMIN, type Route } from "../router.ts";

export const adminRoutes: readonly Route[] = [
  { method: "POST", path: "/v1/admin/revoke-all", sockets: ADMIN, handle: revokeAll },
  { method: "GET", path: "/v1/admin/epoch", sockets: ADMIN, handle: epoch },
  { method: "GET", path: "/v1/admin/status", sockets: ADMIN, handle: status },
  { method: "POST", path: "/v1/admin/drain", sockets: ADMIN, handle: drain },
  { method: "POST", path: "/v1/admin/rotate-keys", sockets: ADMIN, handle: rotateKeys },
];

/** The kill switch: durable first, then every running call is stopped. */
async function revokeAll(context: ServerContext, request: FrontRequest): Promise<Answer> {
  const { gate } = context;
  const found = operatorOf(context, request, "write");
  if (isRefusal(found)) return refusalAnswer(found);
  const { operator } = found;
  const { previous, current } = await gate.ledger.act("revokeAll", {
    traceId: gate.newId(),
    operator: { id: operator.id, jkt: operator.thumbprint },
  });
  gate.state.epoch = Math.max(gate.state.epoch, current);
  const stopped = gate.running.size;
  gate.running.abortAll("revoked");
  return ok({ previous_epoch: previous, current_epoch: current, calls_stopped: stopped });
}

function epoch(context: ServerContext, request: FrontRequest): Answer {
  const found = operatorOf(context, request, "read");
  return isRefusal(found) ? refusalAnswer(found) : ok({ current_epoch: context.gate.state.epoch });
}

function status(context: ServerContext, request: FrontRequest): Answer {
  const found = operatorOf(context, request, "read");
  if (isRefusal(found)) return refusalAnswer(found);
  const { gate } = context;
  const sandbox = gate.sandbox.stats();
  const evidence = gate.reader.keys().filter((key) => key.purpose === "evidence");
  return ok({
    status: gate.state.draining ? "draining" : "ok",
    version: context.version,
    uptime_seconds: Math.floor((gate.clock.now() - gate.state.startedMs) / 1000),
    actions_registered: gate.registry.list().length,
    pending_approvals: listHolds(gate.reader.db, {
      state: "pending",
      tenant: found.operator.tenant,
      limit: 1000,
    }).length,
    revocation_epoch: gate.state.epoch,
    draining: gate.state.draining,
    in_flight_executions: gate.running.size,
    unresolved_grants: gate.reader.openGrants().length,
    dependencies: { redis: true, opa: true },
    webhooks: { active: 0, pending_deliveries: 0 },
    log: gate.ledger.log,
    fingerprint: fingerprint(evidence[0]?.kid ?? ""),
    signing_key_id: evidence.at(-1)?.kid ?? null,
    policy_version: gate.policy.version,
    registry_digest: gate.registry.digest,
    boundary: (request.peer?.uid ?? -1) === gate.uid ? "same_uid" : "uid",
    sockets: { ...context.sockets },
    ledger: { ...gate.ledger.stats },
    evidence: evidenceStatus(gate),
    runners: sandbox.runners.map(({ pid, inFlight, running, queued }) => ({
      pid,
      in_flight: inFlight,
      running,
      queued,
    })),
    runners_lost: sandbox.lost,
    runners_retired: sandbox.retired,
    refused_host_calls: sandbox.refusedHostCalls,
    sandbox_layers_missing: [...sandbox.missingLayers],
    pid: process.pid,
  });
}

function drain(context: ServerContext, request: FrontRequest): Answer {
  const found = operatorOf(context, request, "write");
  if (isRefusal(found)) return refusalAnswer(found);
  const { gate } = context;
  const already = gate.state.draining;
  gate.state.draining = true;
  return ok({ draining: true, already_draining: already, in_flight_executions: gate.running.size });
}

const PURPOSES = ["evidence", "checkpoint", "lease"] as const;

async function rotateKeys(context: ServerContext, request: FrontRequest): Promise<Answer> {
  const found = operatorOf(context, request, "write");
  if (isRefusal(found)) return refusalAnswer(found);
  const body = await operatorBody(context, request, found);
  if (isRefusal(body)) return refusalAnswer(body);
  let purpose: unknown = "evidence";
  try {
    const value = body.length === 0 ? {} : parseJson(body, { bytes: 1024, depth: 1 });
    if (isJsonObject(value) && value.purpose !== undefined) purpose = value.purpose;
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return refusalAnswer(refuse("bad_request", 400, `the body is not usable json: ${error.message}`));
  }
  const known = PURPOSES.find((one) => one === purpose);
  if (known === undefined)
    return refusalAnswer(refuse("bad_request", 400, `purpose is one of ${PURPOSES.join(", ")}`));
  const { previous, kid } = await rotateGateKey(context.gate, known);
  return ok({ ok: true, purpose: known, previous_kid: previous, kid });
}
