import { authenticateLease, type IdentityRefusal } from "../identity/index.ts";
import type { Admitted, Authenticated } from "./call.ts";
import type { Gate } from "./gate.ts";
import { type Refusal, refuse } from "./refusal.ts";

/** How long the log's database remembers a used proof: longer than any proof is fresh. */
const PROOF_KEPT_MS = 180_000;

/** Step 2: who asks? Lease, proof of its key, first use of the proof, not revoked. */
export function authenticate(gate: Gate, call: Admitted): Authenticated | Refusal {
  const found = authenticateLease(call.request, {
    leases: gate.leases,
    replay: gate.replay,
    operators: gate.operators,
    clock: gate.clock,
    revoked: (lease) => lease.epoch !== gate.state.epoch,
  });
  if (!found.ok) return refuseUnauthenticated(found);
  const { lease, proof } = found;
  return {
    ...call,
    caller: {
      tenant: lease.tenant,
      principal: lease.principal,
      sessionId: lease.sessionId,
      jkt: lease.jkt,
      scopes: lease.scopes,
      epoch: lease.epoch,
    },
    proof: {
      jkt: proof.jkt,
      jti: proof.jti,
      bodyHash: proof.bodyHash,
      expiresMs: gate.clock.now() + PROOF_KEPT_MS,
    },
  };
}

/** The identity room's refusal as the wire has it. */
export function refuseUnauthenticated(refusal: IdentityRefusal): Refusal {
  const members =
    refusal.code === "invalid_dpop" || refusal.code === "key_binding_failed"
      ? { deny_reason: refusal.detail }
      : {};
  return refuse(refusal.code, refusal.status, refusal.detail, { members });
}
