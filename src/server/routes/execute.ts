import { execute } from "../../gate/pipeline.ts";
import { authOf, peerUid, refusalAnswer, shedPeer, shedSession } from "../context.ts";
import { readQuery } from "../query.ts";
import { BOTH, type Route } from "../router.ts";

export const executeRoutes: readonly Route[] = [
  {
    method: "POST",
    path: "/v1/actions/{id}/execute",
    sockets: BOTH,
    handle: async (context, request, id) => {
      const shed = shedPeer(context, request, "rate_limited") ?? shedSession(context, request);
      if (shed !== null) return refusalAnswer(shed);
      const dryRun = readQuery(request.query).get("dry_run");
      return execute(context.gate, {
        ...authOf(context, request),
        actionId: id,
        idempotencyKey: request.headers("idempotency-key"),
        dryRun: dryRun === "1" || dryRun === "true",
        peerUid: peerUid(request),
        body: () => request.body(),
      });
    },
  },
];
