import { LatchGateError, messageOf } from "../core/errors.ts";
import { dialPath, type Endpoint, endpointName } from "./endpoint.ts";
import { TransportError } from "./errors.ts";

export interface WireRequest {
  readonly method: string;
  /** Path and query, percent-encoded. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | null;
  /** For the whole exchange, milliseconds. */
  readonly timeoutMs: number;
}

export interface WireAnswer {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly body: Uint8Array;
}

/** Longest answer that is read, in bytes. */
const LONGEST_ANSWER = 64 * 1024 * 1024;
/** connect(2) failed: no byte was sent. */
const NOT_CONNECTED: ReadonlySet<string> = new Set([
  "ENOENT",
  "ECONNREFUSED",
  "EACCES",
  "EPERM",
  "ENOTDIR",
  "ELOOP",
]);

/**
 * Sends one request on a connection of its own and reads its answer. Never sends anything twice: a proof is good for
 * one use, and an effect must not happen again behind the caller's back. Follows no redirect, uses no proxy.
 * Throws {@link TransportError}.
 */
export async function exchange(endpoint: Endpoint, request: WireRequest): Promise<WireAnswer> {
  try {
    return endpoint.kind === "unix"
      ? await overSocket(endpoint.path, request)
      : await overLoopback(endpoint.origin, request);
  } catch (thrown) {
    throw transportError(thrown, endpoint, request.timeoutMs);
  }
}

function transportError(thrown: unknown, endpoint: Endpoint, timeoutMs: number): unknown {
  if (!(thrown instanceof Error) || thrown instanceof LatchGateError) return thrown;
  const code = "code" in thrown && typeof thrown.code === "string" ? thrown.code : "";
  const where = endpointName(endpoint);
  if (NOT_CONNECTED.has(code)) {
    const denied = code === "EACCES" || code === "EPERM";
    return new TransportError("gate_unreachable", `no gate answers at ${where} (${code.toLowerCase()})`, {
      sent: false,
      hint: denied
        ? "this account may not use the gate's socket; see [listen] client_group and client_mode"
        : "start one with latchgate serve, or name its socket with LATCHGATE_SOCKET",
      cause: thrown,
    });
  }
  if (thrown.name === "TimeoutError" || thrown.name === "AbortError")
    return new TransportError(
      "gate_timeout",
      `the gate at ${where} did not answer within ${timeoutMs / 1000} s`,
      {
        sent: true,
        cause: thrown,
      },
    );
  return new TransportError(
    "gate_connection_lost",
    `the gate at ${where} broke off (${code || messageOf(thrown)})`,
    {
      sent: true,
      cause: thrown,
    },
  );
}

/** Bun's own fetch: it is there at once, where loading node:http costs 25 ms of every call. */
async function overSocket(path: string, request: WireRequest): Promise<WireAnswer> {
  const dial = dialPath(path);
  try {
    const answer = await fetch(`http://localhost${request.target}`, {
      unix: dial.path,
      method: request.method,
      headers: { ...request.headers, "accept-encoding": "identity" },
      body: request.body,
      redirect: "manual",
      // A connection of its own: on a reused one that had gone stale, fetch would send the request again.
      keepalive: false,
      decompress: false,
      timeout: false,
      signal: AbortSignal.timeout(request.timeoutMs),
    } as BunFetchRequestInit); // `timeout: false` lifts the built-in limit; the signal sets ours
    const chunks: Uint8Array[] = [];
    let size = 0;
    if (answer.body !== null)
      for await (const chunk of answer.body) {
        size = counted(size, chunk);
        chunks.push(chunk);
      }
    return {
      status: answer.status,
      retryAfter: answer.headers.get("retry-after"),
      body: Buffer.concat(chunks),
    };
  } finally {
    dial.close();
  }
}

/** node:http for TCP, as fetch would follow HTTP_PROXY and hand the lease to a proxy, even for loopback. */
async function overLoopback(origin: string, request: WireRequest): Promise<WireAnswer> {
  const http = await import("node:http");
  return new Promise((resolve, reject) => {
    const outgoing = http.request(
      `${origin}${request.target}`,
      {
        method: request.method,
        headers: { ...request.headers, "content-length": request.body?.length ?? 0 },
        agent: false,
        signal: AbortSignal.timeout(request.timeoutMs),
      },
      (answer) => {
        const chunks: Buffer[] = [];
        let size = 0;
        answer.on("data", (chunk: Buffer) => {
          try {
            size = counted(size, chunk);
            chunks.push(chunk);
          } catch (tooLarge) {
            outgoing.destroy();
            reject(tooLarge);
          }
        });
        answer.on("error", reject);
        answer.on("close", () => {
          if (!answer.complete) reject(new Error("the answer was cut off"));
          resolve({
            status: answer.statusCode ?? 0,
            retryAfter: answer.headers["retry-after"] ?? null,
            body: Buffer.concat(chunks),
          });
        });
      },
    );
    outgoing.on("error", reject);
    outgoing.end(request.body);
  });
}

function counted(size: number, chunk: Uint8Array): number {
  if (size + chunk.length > LONGEST_ANSWER)
    throw new TransportError("answer_too_large", `the gate's answer is longer than ${LONGEST_ANSWER} bytes`, {
      sent: true,
    });
  return size + chunk.length;
}
