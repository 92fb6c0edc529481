import { parseRfc3339 } from "../../core/clock.ts";
import { isJsonObject, JsonError, parseJson } from "../../core/json.ts";
import { isRefusal, refuse } from "../../gate/refusal.ts";
import type { Answer } from "../../gate/respond.ts";
import { ok, operatorBody, operatorOf, refusalAnswer, type ServerContext } from "../context.ts";
import type { FrontRequest } from "../front/index.ts";
import { pruneBefore } from "../prune.ts";
import { ADMIN, type Route } from "../router.ts";

export const payloadRoutes: readonly Route[] = [
  { method: "POST", path: "/v1/admin/prune-payloads", sockets: ADMIN, handle: prune },
];

/** Bodies of every tenant are in one store, so an operator of one tenant may not. */
async function prune(context: ServerContext, request: FrontRequest): Promise<Answer> {
  const found = operatorOf(context, request, "write");
  if (isRefusal(found)) return refusalAnswer(found);
  const body = await operatorBody(context, request, found);
  if (isRefusal(body)) return refusalAnswer(body);
  const { operator } = found;
  if (operator.tenant !== null)
    return refusalAnswer(refuse("forbidden", 403, "only an operator of all tenants may prune payloads"));
  const beforeMs = readBefore(body);
  if (beforeMs === null)
    return refusalAnswer(refuse("bad_request", 400, "before must be an rfc 3339 time with milliseconds"));
  const by = { id: operator.id, jkt: operator.thumbprint };
  return ok({ ...(await pruneBefore(context.gate.ledger, { beforeMs, cause: "operator", operator: by })) });
}

function readBefore(body: Uint8Array): number | null {
  try {
    const value = parseJson(body, { bytes: 1024, depth: 1 });
    const before = isJsonObject(value) ? value.before : null;
    return typeof before === "string" ? parseRfc3339(before) : null;
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return null;
  }
}
