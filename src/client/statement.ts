import { randomBytes } from "node:crypto";
import { toBase64url } from "../core/bytes.ts";
import { type SenderKey, signCompact } from "./proof.ts";

/** What an operator signs when approving: this plan, of this request, once, soon. */
export interface StatementClaims {
  readonly approvalId: string;
  readonly planHash: string;
  readonly requestHash: string;
  readonly decision: "approve" | "deny";
}

/** How long a statement may be used after it was signed, seconds. */
const LIFETIME_S = 120;

/**
 * A compact ES256 JWS by the operator's key, `typ` `latchgate-approval+jws`, with the public key in `jwk`.
 * It is stored with the decision, so that whoever checks the log can tell who approved what without the gate's word.
 */
export function approvalStatement(key: SenderKey, claims: StatementClaims, now: number): string {
  const { kty, crv, x, y } = key.jwk;
  const iat = Math.floor(now / 1000);
  return signCompact(
    key,
    { typ: "latchgate-approval+jws", alg: "ES256", jwk: { kty, crv, x, y } },
    {
      approval_id: claims.approvalId,
      plan_hash: claims.planHash,
      request_hash: claims.requestHash,
      decision: claims.decision,
      nonce: toBase64url(randomBytes(16)),
      iat,
      exp: iat + LIFETIME_S,
    },
  );
}
