import { sha256Hex } from "../core/bytes.ts";
import { rfc3339 } from "../core/clock.ts";
import { acrossTargets } from "../core/plan/envelope.ts";
import { type Plan, requiredSecretsOf } from "../core/plan.ts";
import { commitUnder } from "../ledger/store/payloads.ts";
import type { Authorized, Cause, Granted } from "./call.ts";
import { callRecord } from "./call-record.ts";
import { conflictRefusal } from "./conflict.ts";
import type { Gate } from "./gate.ts";
import { limitsToJson } from "./plan.ts";
import { type Refusal, refuse } from "./refusal.ts";

/** How long after its time limit a grant may still be closed; nothing is dispatched under it after. */
const GRACE_MS = 5_000;

/** Step 8: one durable transaction, signed. Resolves only after its sync. */
export async function grant(gate: Gate, authorized: Authorized): Promise<Granted | Refusal> {
  const { call, cause, decision } = authorized;
  const { caller, action, limits } = call;
  const grantId = gate.newId();
  const signal = gate.running.enter(grantId);
  const startedMs = gate.clock.now();
  const startedMonotonic = gate.clock.monotonic();
  const result = await gate.ledger
    .act(
      "grantCall",
      {
        body: {
          ...callRecord(call),
          jkt: caller.jkt,
          grant_id: grantId,
          component_digest: call.component,
          risk: action.risk.level,
          cause: causeRecord(cause),
          approvers: cause.kind === "approval" ? cause.approvers : [],
          call: call.commitment,
          policy_version: decision.policy_version,
          generation: call.generation,
          granted: {
            hosts: decision.granted.hosts,
            paths: decision.granted.paths.map((path) => commitUnder(call.payload.salt, path)),
            connections: decision.granted.connections,
            secrets: decision.granted.secrets,
            ...envelopeRecord(call.plan, decision.granted.secrets),
          },
          limits: limitsToJson(limits),
          epoch: caller.epoch,
          not_after: rfc3339(startedMs + limits.timeoutMs + GRACE_MS),
          boundary: call.boundary,
          decision: "grant",
        },
        proof: cause.kind === "proof" ? cause.proof : null,
        idempotency: cause.kind === "proof" ? cause.idempotency : null,
      },
      cause.kind === "proof" ? [call.payload] : [],
    )
    .catch((error: unknown) => {
      gate.running.leave(grantId);
      throw error;
    });
  if (result.kind !== "granted") {
    gate.running.leave(grantId);
    return conflictRefusal(result.kind);
  }
  return {
    ...authorized,
    grantId,
    seq: result.seq,
    startedMs,
    startedMonotonic,
    deadline: startedMonotonic + limits.timeoutMs,
    signal,
  };
}

function causeRecord(cause: Cause) {
  return cause.kind === "proof"
    ? {
        kind: "proof" as const,
        proof: sha256Hex(`${cause.proof.jkt}.${cause.proof.jti}`),
        approval_id: null,
        idempotency: cause.idempotency?.key ?? null,
      }
    : { kind: "approval" as const, proof: null, approval_id: cause.approvalId, idempotency: null };
}

/** Of an envelope the grant says enough for anybody to tell an effect outside of it: all but the paths. */
function envelopeRecord(plan: Plan, granted: readonly string[]) {
  if (plan.kind !== "envelope") return {};
  const { calls, targets, plain, secrets } = plan;
  const bindings = secrets.filter(({ secret }) => granted.includes(secret));
  return {
    envelope: {
      calls,
      targets: targets.map(({ hosts, methods, ports }) => ({ hosts, methods, ports })),
      plain,
      secrets: bindings.map(({ secret, origin }) => ({ secret, origin })),
    },
  };
}

/**
 * Policy granted less than the plan needs: then the plan as it is may not run. An optional credential is not needed;
 * the door leaves out what was not granted.
 */
export function grantsWholePlan({ call, decision }: Authorized): Refusal | null {
  const { plan } = call;
  const secrets = requiredSecretsOf(plan).every((secret) => decision.granted.secrets.includes(secret));
  if (secrets && grantsTarget(plan, decision.granted)) return null;
  return refuse("policy_denied", 403, "policy grants less than the call needs", {
    members: { deny_reason: "policy grants less than the call needs" },
  });
}

function grantsTarget(plan: Plan, granted: Authorized["decision"]["granted"]): boolean {
  switch (plan.kind) {
    case "http":
      return granted.hosts.includes(new URL(plan.url).hostname.replace(/^\[|\]$/g, ""));
    case "envelope":
      return acrossTargets(plan, "hosts").every((host) => granted.hosts.includes(host));
    case "fs":
      return granted.paths.includes(plan.path);
    case "database":
    case "mail":
    case "queue":
    case "storage":
      return granted.connections.includes(plan.connection);
  }
}
