import type { Action } from "../../actions/index.ts";
import type { Json, JsonObject } from "../../core/json.ts";
import type { Gate } from "../../gate/gate.ts";
import { refuse } from "../../gate/refusal.ts";
import { ok, refusalAnswer } from "../context.ts";
import { readQuery } from "../query.ts";
import { BOTH, type Route } from "../router.ts";

/** An action with the digest of the component that runs it, which its manifest names only for an operator's own. */
function detailOf(gate: Gate, action: Action): JsonObject {
  const digest = gate.components.get(action.provider.ref);
  return { ...action.detail(), ...(digest === undefined ? {} : { provider_module_digest: digest }) };
}

const missing = () => refusalAnswer(refuse("action_not_found", 404, "no such action"));

export const actionRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/v1/actions",
    sockets: BOTH,
    handle: ({ gate }, request) => {
      const include = new Set((readQuery(request.query).get("include") ?? "").split(","));
      const actions = gate.registry.list().map((action) => ({
        ...action.summaryRow(),
        ...(include.has("detail") ? { detail: detailOf(gate, action) } : {}),
        ...(include.has("schema") ? { schema: action.paramsSchema } : {}),
      }));
      return ok({ actions: actions as unknown as Json }); // rows are json by construction
    },
  },
  {
    method: "GET",
    path: "/v1/actions/{id}",
    sockets: BOTH,
    handle: ({ gate }, _request, id) => {
      const action = gate.registry.get(id);
      return action === undefined ? missing() : ok(detailOf(gate, action));
    },
  },
  {
    method: "GET",
    path: "/v1/actions/{id}/schema/request",
    sockets: BOTH,
    handle: ({ gate }, _request, id) => {
      const action = gate.registry.get(id);
      return action === undefined ? missing() : ok(action.paramsSchema);
    },
  },
];
