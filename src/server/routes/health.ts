import { createPublicKey } from "node:crypto";
import { publicJwk } from "../../keys/jwk.ts";
import { ok } from "../context.ts";
import { goodLeaseKeys } from "../lease-keys.ts";
import { BOTH, type Route } from "../router.ts";

export const healthRoutes: readonly Route[] = [
  { method: "GET", path: "/healthz", sockets: BOTH, handle: () => ok({ status: "ok" }) },
  {
    method: "GET",
    path: "/readyz",
    sockets: BOTH,
    handle: ({ gate }) => {
      const actions = gate.registry.list().length;
      const runners = gate.sandbox.stats().runners.length > 0;
      const ready = actions > 0 && runners && !gate.state.draining;
      return ok(
        {
          status: ready ? "ready" : "not_ready",
          redis: true,
          opa: true,
          ledger: true,
          approval_store: true,
          egress_proxy: null,
          runners,
          draining: gate.state.draining,
          actions_registered: actions,
        },
        ready ? 200 : 503,
      );
    },
  },
  {
    method: "GET",
    path: "/.well-known/jwks.json",
    sockets: BOTH,
    handle: ({ gate }) => {
      // The key in force first, then those whose leases may still be good.
      const current = gate.state.leaseSigner;
      const jwk = publicJwk(createPublicKey(current.key));
      const graceMs = gate.config.lease.key_grace_s * 1000;
      const older = goodLeaseKeys(gate.reader, graceMs, gate.clock.now())
        .filter((key) => key.kid !== current.kid)
        .map((key) => ({ ...key.jwk, kid: key.kid, use: "sig", alg: "ES256" }));
      return ok({ keys: [{ ...jwk, kid: current.kid, use: "sig", alg: "ES256" }, ...older] });
    },
  },
];
