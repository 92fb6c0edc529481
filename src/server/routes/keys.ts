import { isJsonObject, type Json, JsonError, type JsonObject, parseJson } from "../../core/json.ts";
import { isRefusal, type Refusal, refuse } from "../../gate/refusal.ts";
import type { Answer } from "../../gate/respond.ts";
import { ok, operatorBody, operatorOf, refusalAnswer, type ServerContext } from "../context.ts";
import type { FrontRequest } from "../front/index.ts";
import { revokeGateKey } from "../keys.ts";
import { ADMIN, BOTH, type Route } from "../router.ts";
import { verifyingKeys } from "../verifying-keys.ts";

export const keyRoutes: readonly Route[] = [
  { method: "GET", path: "/v1/verifying-keys", sockets: BOTH, handle: keySet },
  { method: "POST", path: "/v1/admin/revoke-key/prepare", sockets: ADMIN, handle: prepare },
  { method: "POST", path: "/v1/admin/revoke-key", sockets: ADMIN, handle: revoke },
];

/** Public: checking evidence must not need a credential. */
function keySet({ gate }: ServerContext): Answer {
  const set = verifyingKeys(gate.reader, gate.config.lease.key_grace_s * 1000, gate.clock.now());
  return ok(set as unknown as JsonObject); // members of public keys and numbers
}

/** Makes ready for the holder of the recovery key what the statement has to name. */
async function prepare(context: ServerContext, request: FrontRequest): Promise<Answer> {
  const body = await readBody(context, request);
  if (isRefusal(body)) return refusalAnswer(body);
  const { kid, size, root } = body;
  if (typeof kid !== "string" || typeof size !== "number" || typeof root !== "string")
    return refusalAnswer(refuse("bad_request", 400, "kid, size and root name the key and the checkpoint"));
  const prepared = await context.gate.ledger.act("prepareRevocation", { kid, size, root });
  return "refused" in prepared
    ? refusalAnswer(refuse("revocation_refused", 409, prepared.refused))
    : ok({ ...prepared });
}

/** The operator brings it; the recovery key's signature decides. */
async function revoke(context: ServerContext, request: FrontRequest): Promise<Answer> {
  const body = await readBody(context, request);
  if (isRefusal(body)) return refusalAnswer(body);
  const { statement } = body;
  if (typeof statement !== "string" || statement.length > 4096)
    return refusalAnswer(refuse("bad_request", 400, "statement is the recovery key's signed statement"));
  const revoked = await revokeGateKey(context.gate, statement);
  return "refused" in revoked
    ? refusalAnswer(refuse("revocation_refused", 409, revoked.refused))
    : ok({ ...revoked });
}

async function readBody(
  context: ServerContext,
  request: FrontRequest,
): Promise<{ readonly [name: string]: Json } | Refusal> {
  const found = operatorOf(context, request, "write");
  if (isRefusal(found)) return found;
  const body = await operatorBody(context, request, found);
  if (isRefusal(body)) return body;
  try {
    const value = parseJson(body, { bytes: 8192, depth: 1 });
    if (isJsonObject(value)) return value;
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
  }
  return refuse("bad_request", 400, "the body is not a json object");
}
