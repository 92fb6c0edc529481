import { isAbsolute, join } from "node:path";
import type { Config } from "../config/schema.ts";
import { VERSION } from "../core/version.ts";
import type { Gate } from "../gate/gate.ts";
import { proofBase } from "../identity/index.ts";
import { LedgerError } from "../ledger/errors.ts";
import type { ServerContext } from "./context.ts";
import { createFront, type Front, HttpFault, RateLimiter } from "./front/index.ts";
import { frontLimits, resolveGroup } from "./listeners.ts";
import { Router, serveRequest } from "./router.ts";
import { ROUTES } from "./routes/index.ts";

export interface Sockets {
  readonly client: string;
  readonly admin: string;
}

/** Where the sockets are; relative paths are below the project folder. */
export function socketPaths(dir: string, { listen }: Config): Sockets {
  const place = (path: string) => (isAbsolute(path) ? path : join(dir, path));
  return { client: place(listen.client_socket), admin: place(listen.admin_socket) };
}

/** Opens both sockets, each with its mode and group from the start. */
export async function openSockets(front: Front, sockets: Sockets, { listen }: Config): Promise<void> {
  await front.listen({
    label: "client",
    path: sockets.client,
    mode: Number.parseInt(listen.client_mode, 8),
    ...resolveGroup(listen.client_group),
  });
  await front.listen({
    label: "admin",
    path: sockets.admin,
    mode: Number.parseInt(listen.admin_mode, 8),
    ...resolveGroup(listen.admin_group),
  });
}

/** The front door with the routes behind it; it listens nowhere yet. */
export function makeFront(
  gate: Gate,
  sockets: Sockets,
  ledgerPath: string,
  report: (line: string) => void,
): Front {
  const { config, clock } = gate;
  const limiter = (rate: number) => new RateLimiter({ rate, burst: rate, keys: 10_000 }, clock);
  const context: ServerContext = {
    gate,
    bases: [...new Set([config.public_base_url, "http://localhost", "http://localhost:3000"])].map(proofBase),
    limiters: {
      peer: limiter(config.rate_limits.peer_rps),
      lease: limiter(config.rate_limits.lease_rps),
      session: limiter(config.rate_limits.execute_rps_per_session),
      operatorRead: limiter(config.rate_limits.operator_read_rps),
      operatorWrite: limiter(config.rate_limits.operator_write_rps),
    },
    version: VERSION,
    sockets,
    ledgerPath,
  };
  const router = new Router(ROUTES);
  return createFront({
    clock,
    limits: frontLimits(config),
    onRequest: async (request, response) => {
      try {
        await serveRequest(router, context, request, response);
      } catch (error) {
        if (!(error instanceof LedgerError) || error.code === "payload_missing") throw error;
        if (error.code === "ledger_damaged") {
          report(error.message);
          throw new HttpFault(500, "ledger_error", "what the ledger holds about this is damaged", {
            hint: "the operator runs latchgate verify",
            cause: error,
          });
        }
        if (error.code === "entry_repudiated")
          throw new HttpFault(409, "entry_repudiated", "this rests on an entry whose key has been revoked", {
            hint: "what such an entry says proves nothing any more; the operator runs latchgate verify",
            cause: error,
          });
        throw new HttpFault(
          503,
          "store_unavailable",
          "the evidence could not be stored; the call's outcome is uncertain",
          {
            hint: "ask for its receipt, or repeat it with the same idempotency key, when the gate is back",
            cause: error,
          },
        );
      }
    },
    onError: (error) => report(error instanceof Error ? (error.stack ?? error.message) : String(error)),
  });
}
