import { LatchGateError } from "../core/errors.ts";
import { isJsonObject, type Json, type JsonObject } from "../core/json.ts";
import { mayHaveRun } from "./dispatched.ts";

/**
 * What went wrong on this side of the wire.
 *
 * - `gate_not_configured`: nothing says where the gate is
 * - `gate_address`: what says it cannot be used
 * - `state_unsafe`: the state folder or a file in it could be read or written by others
 * - `state_locked`: another process kept the state locked
 * - `operator_unknown`: it is not clear which operator to act as, or its key is not there
 * - `operator_key`: the operator's key file cannot be used
 * - `malformed_answer`: the gate's answer cannot be read, and it answered no call that has an effect
 * - `effect_unknown`: the call was sent and no readable answer came back, so its effect may have happened
 */
export class ClientError extends LatchGateError {}

/**
 * The request did not get its answer.
 *
 * - `gate_unreachable`: no connection, so nothing was sent
 * - `gate_connection_lost`, `gate_timeout`, `answer_too_large`: the request may have arrived
 */
export class TransportError extends LatchGateError {
  /** Whether a byte of the request may have reached the gate. */
  readonly sent: boolean;

  constructor(code: string, message: string, options: { sent: boolean; hint?: string; cause?: unknown }) {
    super(code, message, options);
    this.sent = options.sent;
  }
}

/** The gate's refusal: every answer whose status is not 2xx. `code` is the gate's own where it gave one. */
export class GateError extends LatchGateError {
  /** HTTP status. */
  readonly status: number;
  /** The answer's members; empty when it was no JSON object. */
  readonly body: JsonObject;

  constructor(status: number, code: string, message: string, body: JsonObject, hint?: string) {
    super(code, message, hint === undefined ? {} : { hint });
    this.status = status;
    this.body = body;
  }

  /** Whether the refused call was dispatched before it failed: it has a receipt, and that does not deny it. */
  get mayHaveRun(): boolean {
    return mayHaveRun(this.body);
  }
}

/** What stands for an answer that names no code: unknown routes answer with an empty body. */
const CODES: Readonly<Record<number, string>> = {
  400: "bad_request",
  401: "unauthorized",
  403: "forbidden",
  404: "not_found",
  405: "method_not_allowed",
  409: "conflict",
  413: "request_too_large",
  429: "rate_limited",
  503: "unavailable",
};

/** Turns a non-2xx answer into an error. `body` is null when it was empty or not JSON. */
export function gateError(status: number, body: Json, retryAfter: string | null): GateError {
  const members = isJsonObject(body) ? body : {};
  const code = text(members.error) ?? CODES[status] ?? `unexpected_status_${status}`;
  const said =
    text(members.message) ?? text(members.deny_reason) ?? `the gate answered ${code} (http ${status})`;
  const why = reasonsOf(members).filter((reason) => !said.includes(reason));
  const message = why.length === 0 ? said : `${said}: ${why.join("; ")}`;
  const wait =
    retryAfter !== null && /^[0-9]{1,6}$/.test(retryAfter) ? `try again in ${retryAfter} s` : undefined;
  return new GateError(
    status,
    code,
    message,
    members,
    text(members.hint) ?? text(members.remediation) ?? wait,
  );
}

function text(value: Json | undefined): string | undefined {
  return typeof value === "string" && value !== "" ? value.slice(0, 4096) : undefined;
}

/** Why, as far as the caller may know: `reason`, and the texts of `reasons`. */
function reasonsOf(members: JsonObject): readonly string[] {
  const listed = Array.isArray(members.reasons) ? members.reasons : [];
  const texts = listed.map((entry: Json) => (isJsonObject(entry) ? text(entry.text) : undefined));
  return [text(members.reason), ...texts].filter((found) => found !== undefined);
}
