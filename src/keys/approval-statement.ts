import { fromBase64url } from "../core/bytes.ts";
import { verifyEs256 } from "../core/es256.ts";
import { isJsonObject, type Json, parseJson } from "../core/json.ts";
import { p256FromJson, thumbprint } from "./jwk.ts";

/** `typ` of an operator's statement about a held call. */
export const APPROVAL_STATEMENT_TYPE = "latchgate-approval+jws";

/** What an operator signs: this decision on this call, as it stands in this entry of this log. */
export interface ApprovalClaims {
  readonly approval_id: string;
  /** Hex, the salted commitment of the held call (`call.commitment` of its entry): parameters, plan, limits. */
  readonly call: string;
  readonly decision: "approve" | "deny";
  /** Id of the log. */
  readonly log: string;
  /** Position of the `call.held` entry: a hold that takes the id of an earlier one is another. */
  readonly seq: number;
  readonly nonce: string;
  /** Seconds since 1970. */
  readonly iat: number;
  readonly exp: number;
}

export interface ApprovalStatement {
  /** RFC 7638 thumbprint of the key that signed. */
  readonly jkt: string;
  /** Null when its members are not those of {@link ApprovalClaims}: earlier gates had others. */
  readonly claims: ApprovalClaims | null;
  /** Members as they stand. */
  readonly payload: { readonly [name: string]: Json };
}

/** Longest statement, characters. */
const LONGEST = 4096;
const CLAIMS = ["approval_id", "call", "decision", "exp", "iat", "log", "nonce", "seq"] as const;

/**
 * Reads a statement: a compact JWS (RFC 7515 §7.1), ES256, whose header has exactly `alg`, `typ` and the public `jwk` that
 * signed it, and whose payload is a JSON object. Or in a word what is wrong with it. It is signed by somebody: whether that
 * is the operator, and whether its time is now, is for the caller to say. An attacker controls it.
 */
export function readApprovalStatement(jws: string): ApprovalStatement | string {
  const [head = "", body = "", mark = "", ...rest] = jws.length > LONGEST ? [] : jws.split(".");
  if (mark === "" || rest.length > 0) return "not a compact jws";
  const [header, payload, signature] = [readPart(head), readPart(body), fromBase64url(mark)];
  if (header === null || payload === null || signature === null) return "not readable";
  const key = p256FromJson(header.jwk);
  if (header.alg !== "ES256" || header.typ !== APPROVAL_STATEMENT_TYPE || key === null) return "header";
  if (Object.keys(header).length !== 3) return "header";
  if (!verifyEs256(key.key, `${head}.${body}`, signature)) return "signature";
  return { jkt: thumbprint(key.jwk), claims: claimsOf(payload), payload };
}

function claimsOf(payload: { readonly [name: string]: Json }): ApprovalClaims | null {
  const { approval_id, call, decision, exp, iat, log, nonce, seq } = payload;
  const sound =
    Object.keys(payload).length === CLAIMS.length &&
    CLAIMS.every((name) => Object.hasOwn(payload, name)) &&
    [approval_id, call, log, nonce].every((value) => typeof value === "string") &&
    [exp, iat, seq].every((value) => typeof value === "number") &&
    (decision === "approve" || decision === "deny");
  return sound ? (payload as unknown as ApprovalClaims) : null; // each member has just been looked at
}

function readPart(part: string): { readonly [name: string]: Json } | null {
  const bytes = fromBase64url(part);
  if (bytes === null) return null;
  try {
    const value = parseJson(bytes, { bytes: LONGEST, depth: 4 });
    return isJsonObject(value) ? value : null;
  } catch {
    return null;
  }
}
