import type { PolicyReason } from "../policy/contract.ts";

/** Why a call stopped. A value, not an exception: refusing is what a gate does. */
export interface Refusal {
  readonly refused: true;
  /** Stable; reaches clients as `error`. */
  readonly code: string;
  readonly status: number;
  /** For people; nothing internal. */
  readonly message: string;
  readonly hint?: string;
  /** `deny` when somebody decided so, `error` when something failed. */
  readonly decision: "deny" | "error";
  /** All reasons of policy; their rule names go to evidence and operators only. */
  readonly reasons: readonly PolicyReason[];
  /** Further members of the answer, as the wire has them. */
  readonly members: Readonly<Record<string, string | number | boolean | null>>;
  readonly retryAfterSeconds: number | null;
}

export function refuse(
  code: string,
  status: number,
  message: string,
  more: Partial<Omit<Refusal, "refused" | "code" | "status" | "message">> = {},
): Refusal {
  return {
    refused: true,
    decision: status >= 500 ? "error" : "deny",
    reasons: [],
    members: {},
    retryAfterSeconds: null,
    ...more,
    code,
    status,
    message,
  };
}

export function isRefusal(value: object): value is Refusal {
  return "refused" in value;
}

/** Controls become blanks and the text is cut to a number of bytes between code points. */
export function sanitise(text: string, bytes: number): string {
  const clean = text.toWellFormed().replace(/[\u0000-\u001f\u007f-\u009f]/g, " ");
  if (Buffer.byteLength(clean) <= bytes) return clean;
  let cut = clean.slice(0, bytes);
  while (Buffer.byteLength(cut) > bytes) cut = cut.slice(0, -1);
  return cut.toWellFormed().replace(/\ufffd$/, "");
}
