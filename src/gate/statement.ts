import type { HoldRow } from "../approvals/state.ts";
import { fromBase64url } from "../core/bytes.ts";
import { verifyEs256 } from "../core/es256.ts";
import { isJsonObject, type Json, parseJson } from "../core/json.ts";
import { p256FromJson, thumbprint } from "../keys/jwk.ts";
import type { OperatorDecision } from "./approve.ts";
import type { Gate } from "./gate.ts";
import { readHeldCall } from "./held-call.ts";
import { isRefusal, type Refusal, refuse } from "./refusal.ts";

const LONGEST = 4096;
const SKEW_S = 5;

/**
 * Checks an operator's signed statement: a JWS (ES256, `typ` latchgate-approval+jws, the operator's key in `jwk`)
 * over `{approval_id, plan_hash, request_hash, decision, nonce, iat, exp}`. It must name the call as it is stored;
 * a statement about another plan is refused with 409.
 */
export function checkStatement(gate: Gate, made: OperatorDecision, hold: HoldRow): Refusal | null {
  const bad = (why: string) =>
    refuse("bad_statement", 400, `the signed statement is not valid: ${why}`, {
      members: { deny_reason: why },
    });
  const parts = (made.statement ?? "").split(".");
  if (made.statement === null || made.statement.length > LONGEST || parts.length !== 3)
    return bad("not a compact jws");
  const [header, payload] = [readPart(parts[0]), readPart(parts[1])];
  const signature = fromBase64url(parts[2] ?? "");
  if (header === null || payload === null || signature === null) return bad("not readable");
  const key = p256FromJson(header.jwk);
  if (header.alg !== "ES256" || header.typ !== "latchgate-approval+jws" || key === null) return bad("header");
  if (Object.keys(header).length !== 3) return bad("header");
  if (thumbprint(key.jwk) !== made.operator.thumbprint) return bad("signed by another key");
  if (!verifyEs256(key.key, `${parts[0]}.${parts[1]}`, signature)) return bad("signature");
  const now = Math.floor(gate.clock.now() / 1000);
  const { iat, exp, nonce } = payload;
  if (typeof iat !== "number" || typeof exp !== "number" || iat > now + SKEW_S || exp <= now)
    return bad("time");
  if (typeof nonce !== "string" || nonce.length < 16) return bad("nonce");
  const held = readHeldCall(gate, hold);
  if (isRefusal(held)) return held;
  const { stored } = held;
  const same =
    payload.approval_id === hold.approval_id &&
    payload.plan_hash === stored.planHash &&
    payload.request_hash === stored.requestHash &&
    payload.decision === made.decision;
  return same
    ? null
    : refuse("conflict", 409, "the statement is about another call than the one that is held", {
        hint: "show the approval again and decide on what it is now",
      });
}

function readPart(part: string | undefined): { readonly [name: string]: Json } | null {
  const bytes = part === undefined ? null : fromBase64url(part);
  if (bytes === null) return null;
  try {
    const value = parseJson(bytes, { bytes: LONGEST, depth: 4 });
    return isJsonObject(value) ? value : null;
  } catch {
    return null;
  }
}
