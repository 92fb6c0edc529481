import { randomBytes } from "node:crypto";
import { toBase64url } from "../core/bytes.ts";
import { APPROVAL_STATEMENT_TYPE, type ApprovalClaims } from "../keys/approval-statement.ts";
import { type SenderKey, signCompact } from "./proof.ts";

/** What an operator decides on: this call, in this entry of this log. The gate names them as `to_sign`. */
export type StatementClaims = Pick<ApprovalClaims, "approval_id" | "call" | "log" | "seq" | "decision">;

/** How long a statement may be used after it was signed, seconds. */
const LIFETIME_S = 120;

/**
 * A compact ES256 JWS by the operator's key, with the public key in `jwk` (keys/approval-statement.ts), good for a while.
 * It is stored with the decision, so that whoever checks the log can tell who approved what without the gate's word.
 */
export function approvalStatement(key: SenderKey, claims: StatementClaims, now: number): string {
  const { kty, crv, x, y } = key.jwk;
  const iat = Math.floor(now / 1000);
  return signCompact(
    key,
    { typ: APPROVAL_STATEMENT_TYPE, alg: "ES256", jwk: { kty, crv, x, y } },
    {
      ...claims,
      nonce: toBase64url(randomBytes(16)),
      iat,
      exp: iat + LIFETIME_S,
    },
  );
}
