import type { Clock } from "../core/clock.ts";
import { type Json, JsonError, parseJson } from "../core/json.ts";
import type { Endpoint } from "./endpoint.ts";
import { ClientError, gateError } from "./errors.ts";
import { dpopProof, type SenderKey } from "./proof.ts";
import { exchange, type WireAnswer } from "./transport.ts";

/** A gate's listener, and the origin that proofs for it are made out to. */
export interface Gate {
  readonly endpoint: Endpoint;
  /** No closing slash. */
  readonly baseUrl: string;
}

export interface Credential {
  /** Lease JWT, or operator token. */
  readonly token: string;
  readonly key: SenderKey;
}

export interface Call {
  readonly method: "GET" | "POST" | "DELETE";
  /** Percent-encoded, without query. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: Json;
  readonly headers?: Readonly<Record<string, string>>;
  readonly credential?: Credential;
  readonly timeoutMs?: number;
}

export interface Answer {
  readonly status: number;
  readonly body: Json;
}

/** For calls that only read or that change little. */
export const DEFAULT_TIMEOUT_MS = 30_000;
/**
 * For calls that dispatch an action: beyond the longest time that an action may take, as a client that gives up
 * while the effect goes on knows less than one that waits.
 */
export const DISPATCH_TIMEOUT_MS = 300_000;

const ANSWER_LIMITS = { bytes: 64 * 1024 * 1024, depth: 128 };

/**
 * One call and its JSON answer. Throws {@link GateError} on a status other than 2xx, `TransportError` without an
 * answer, and {@link ClientError} `malformed_answer` when a 2xx answer is not JSON.
 */
export async function call(gate: Gate, request: Call, clock: Clock): Promise<Answer> {
  const answer = await exchangeSigned(gate, request, clock);
  return { status: answer.status, body: json(answer) };
}

/** As {@link call}, for what answers with a text. */
export async function callText(gate: Gate, request: Call, clock: Clock): Promise<string> {
  const answer = await exchangeSigned(gate, request, clock);
  return Buffer.from(answer.body).toString("utf8");
}

async function exchangeSigned(gate: Gate, request: Call, clock: Clock): Promise<WireAnswer> {
  const body = request.body === undefined ? null : Buffer.from(JSON.stringify(request.body));
  const headers: Record<string, string> = { accept: "application/json, text/plain", ...request.headers };
  if (body !== null) headers["content-type"] = "application/json";
  if (request.credential !== undefined) {
    const { token, key } = request.credential;
    headers.authorization = `DPoP ${token}`;
    headers.dpop = dpopProof(key, {
      method: request.method,
      url: `${gate.baseUrl}${request.path}`,
      token,
      body,
      now: clock.now(),
    });
  }
  const answer = await exchange(gate.endpoint, {
    method: request.method,
    target: request.path + queryText(request.query ?? {}),
    headers,
    body,
    timeoutMs: request.timeoutMs ?? DEFAULT_TIMEOUT_MS,
  });
  if (answer.status < 200 || answer.status > 299)
    throw gateError(answer.status, jsonOrNull(answer), answer.retryAfter);
  return answer;
}

function queryText(query: Readonly<Record<string, string | undefined>>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.append(name, value);
  return search.size === 0 ? "" : `?${search}`;
}

function json(answer: WireAnswer): Json {
  try {
    return parseJson(answer.body, ANSWER_LIMITS);
  } catch (cause) {
    throw new ClientError("malformed_answer", `the gate's answer (http ${answer.status}) is not valid json`, {
      hint: "is this socket really a gate's?",
      cause,
    });
  }
}

/** For refusals, whose status says enough when their body does not. */
function jsonOrNull(answer: WireAnswer): Json {
  try {
    return parseJson(answer.body, ANSWER_LIMITS);
  } catch (cause) {
    if (cause instanceof JsonError) return null;
    throw cause;
  }
}
