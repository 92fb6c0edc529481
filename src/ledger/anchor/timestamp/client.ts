import { messageOf } from "../../../core/errors.ts";
import { LedgerError } from "../../errors.ts";
import { type Endpoint, post, type WireAnswer } from "../post.ts";
import { isOf, type TimestampAuthority } from "./authority.ts";
import { readReply, timestampQuery } from "./query.ts";
import { readToken, stamps, type TimestampToken } from "./token.ts";

export interface Stamping {
  /** The text of the checkpoint's note. */
  readonly text: string;
  /** Positive, and of at most 64 bits: never the same twice. */
  readonly nonce: bigint;
  readonly timeoutMs: number;
}

export type StampAnswer =
  | { readonly kind: "stamped"; readonly der: Buffer; readonly token: TimestampToken }
  | { readonly kind: "refused"; readonly code: StampRefusal; readonly detail: string };

/**
 * `timestamp_unreachable`; `timestamp_refused`: it answered with another HTTP status, or refuses to stamp;
 * `timestamp_unverified`: what it answered is not a stamp of this text, for this request, by a signer that the
 * configured certificates vouch for.
 */
export type StampRefusal = "timestamp_unreachable" | "timestamp_refused" | "timestamp_unverified";

const LONGEST_ANSWER = 65_536;

/**
 * Asks an authority for a time stamp (RFC 3161 §3.4, over HTTP). Nothing that it says is believed but a token that
 * verifies: for this text and nonce, under its policy, by a chain to its certificates that was valid at the token's time.
 */
export async function askAuthority(
  authority: TimestampAuthority,
  endpoint: Endpoint,
  { text, nonce, timeoutMs }: Stamping,
): Promise<StampAnswer> {
  let answer: WireAnswer;
  try {
    answer = await post(endpoint, {
      type: "application/timestamp-query",
      body: timestampQuery(text, nonce, authority.policy),
      timeoutMs,
      longestAnswer: LONGEST_ANSWER,
    });
  } catch (cause) {
    return refused("timestamp_unreachable", messageOf(cause));
  }
  if (answer.status !== 200) return refused("timestamp_refused", `it answered ${answer.status}`);
  if (answer.type !== "application/timestamp-reply")
    return refused("timestamp_unverified", "its answer is no time-stamp reply");
  try {
    const reply = readReply(answer.body);
    if (reply.kind === "rejected")
      return refused("timestamp_refused", `it answered with status ${reply.status}`);
    const token = readToken(reply.token);
    const fault = faultOf(authority, token, text, nonce);
    return fault === null
      ? { kind: "stamped", der: reply.token, token }
      : refused("timestamp_unverified", fault);
  } catch (error) {
    if (error instanceof LedgerError) return refused("timestamp_unverified", error.message);
    throw error;
  }
}

function faultOf(
  authority: TimestampAuthority,
  token: TimestampToken,
  text: string,
  nonce: bigint,
): string | null {
  if (!stamps(token, text)) return "it stamped something else";
  if (token.nonce !== nonce) return "its stamp is for another request";
  if (authority.policy !== null && token.policy !== authority.policy)
    return `its stamp is under the policy ${token.policy}`;
  return isOf(authority, token) ? null : "no chain that was valid then leads to the configured certificates";
}

function refused(code: StampRefusal, detail: string): StampAnswer {
  return { kind: "refused", code, detail };
}
