import { createHmac } from "node:crypto";
import { sha256Hex } from "../core/bytes.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import { isJsonObject, type Json, JsonError, parseJson } from "../core/json.ts";
import { bodyMatches } from "../identity/index.ts";
import type { IdempotencyKey } from "./acts/state.ts";
import type { Resolved, Validated } from "./call.ts";
import type { Gate } from "./gate.ts";
import { type Refusal, refuse } from "./refusal.ts";

/** Deepest nesting and longest array of a request, as the wire has them. */
const DEPTH = 10;
const ITEMS = 100;

/** Step 4: what exactly is asked? Strict JSON, the action's schema, its defaults; then, and only then, a hash. */
export async function validate(gate: Gate, call: Resolved): Promise<Validated | Refusal> {
  const body = await call.request.body();
  if (!bodyMatches(call.proof, body)) return refuseBody();
  let value: Json;
  try {
    value =
      body.length === 0
        ? {}
        : parseJson(body, { bytes: call.action.limits.requestBytes, depth: DEPTH, items: ITEMS });
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return schemaViolation([`${error.fault}: ${error.message}`]);
  }
  if (!isJsonObject(value)) return schemaViolation(["the body must be a json object"]);
  const checked = call.action.check(value);
  if (!checked.ok) return schemaViolation(checked.problems);
  const canonical = canonicalJson(checked.params);
  const keys = call.request.idempotencyKey;
  if (keys.length > 1 || (keys[0] !== undefined && !/^[\x21-\x7e]{1,255}$/.test(keys[0])))
    return refuse(
      "bad_request",
      400,
      "idempotency-key must be one value of 1 to 255 visible ascii characters",
      {
        members: { deny_reason: "bad idempotency-key" },
      },
    );
  return {
    ...call,
    params: checked.params,
    requestHash: `sha256:${sha256Hex(canonical)}`,
    idempotency: keys[0] === undefined ? null : idempotencyKey(gate, call, keys[0], canonical),
  };
}

/** Keyed digests, so that neither key nor body can be guessed from the log's files. */
function idempotencyKey(gate: Gate, call: Resolved, key: string, canonical: string): IdempotencyKey {
  const digest = (...parts: string[]) =>
    createHmac("sha256", gate.ledger.pepper).update(JSON.stringify(parts)).digest("hex");
  const { tenant, principal } = call.caller;
  return {
    key: digest("key", tenant, principal, key),
    request: digest("request", tenant, principal, key, call.action.id, canonical),
  };
}

/** The proof binds a body (`bh`), and it is another one. */
export function refuseBody(): Refusal {
  return refuse("invalid_dpop", 401, "the body is not the one that the proof names", {
    members: { deny_reason: "bh mismatch" },
  });
}

function schemaViolation(problems: readonly string[]): Refusal {
  const reason = problems.slice(0, 5).join("; ");
  return refuse("schema_violation", 422, "the request does not fit the action's schema", {
    members: { reason },
    hint: "GET /v1/actions/{id}/schema/request shows what fits",
  });
}
