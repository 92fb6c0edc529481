import { type ClientRequest, type IncomingMessage, request } from "node:http";
import type { Header, HttpMethod } from "../../core/plan.ts";
import { HostFailure } from "../failure.ts";
import type { Scrubber } from "../scrub/scrubber.ts";
import { BodyReader, codingsOf } from "./body.ts";
import type { Connection } from "./connections.ts";

export interface Outgoing {
  readonly method: HttpMethod;
  /** Value of the Host header. */
  readonly authority: string;
  /** Path and query. */
  readonly target: string;
  readonly headers: readonly Header[];
  readonly body: Uint8Array | null;
}

export interface Incoming {
  readonly status: number;
  /** Every header as received, names in lower case. */
  readonly headers: readonly Header[];
  /** Decoded, and without credentials. */
  readonly body: Buffer;
  readonly decoded: boolean;
}

export interface ExchangeLimits {
  /** From the first byte sent to the status line. */
  readonly headerMs: number;
  /** Between two pieces of the body. */
  readonly idleMs: number;
  /** Of the body as sent, and of what it decodes to. */
  readonly responseBytes: number;
}

/** What is known so far; kept current, so that it tells the truth whenever the exchange is cut off. */
export interface Progress {
  /** Called once, before the first byte leaves. */
  sending(): void;
  status(status: number): void;
  received(bytes: number): void;
}

const LARGEST_HEADER = 16_384;
/** Node drops headers beyond this number without a word. */
const MOST_HEADERS = 1000;

/**
 * Sends one request over one connection and reads the whole answer. Redirects are answers, and nothing is ever sent
 * twice. When it rejects, the connection is closed already, unless the whole answer came and could not be decoded.
 *
 * Throws {@link HostFailure} `header_timeout`, `idle_timeout`, `connection_reset`, `malformed_response` or
 * `response_too_large`, or the signal's reason. The other side controls the whole answer.
 */
export function exchange(
  connection: Connection,
  outgoing: Outgoing,
  limits: ExchangeLimits,
  progress: Progress,
  scrubber: Scrubber | null,
  signal: AbortSignal,
): Promise<Incoming> {
  return new Promise((resolve, reject) => {
    let settled = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let body: BodyReader | null = null;
    let answered = false;
    const settle = () => {
      settled = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    };
    const fail = (failure: unknown) => {
      if (settled) return;
      settle();
      body?.stop();
      // After a whole answer the connection is back in the pool, and may serve somebody else.
      if (answered) reject(failure);
      else connection.end().then(() => reject(failure));
    };
    const onAbort = () => fail(signal.reason);
    const expectWithin = (ms: number, code: "header_timeout" | "idle_timeout") => {
      clearTimeout(timer);
      timer = setTimeout(() => fail(new HostFailure(code, "the other side fell silent")), ms);
    };

    if (signal.aborted) return fail(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    let sent: ClientRequest;
    try {
      sent = request({
        agent: connection.agent,
        method: outgoing.method,
        path: outgoing.target,
        headers: rawHeaders(outgoing),
        maxHeaderSize: LARGEST_HEADER,
        insecureHTTPParser: false,
      });
    } catch (cause) {
      return fail(new HostFailure("header_not_allowed", "request cannot be written as http", { cause }));
    }
    sent.on("error", (cause) => fail(wireFailure(cause)));
    sent.on("close", () => {
      if (!answered) fail(new HostFailure("connection_reset", "connection ended before the answer"));
    });
    // Without a listener a 101 would leave the request open for ever.
    sent.on("upgrade", (message, socket) => {
      progress.status(message.statusCode ?? 101);
      socket.destroy();
      fail(new HostFailure("malformed_response", "the other side switched protocols"));
    });
    sent.on("response", (message) => {
      const status = message.statusCode ?? 0;
      progress.status(status);
      const headers = headerPairs(message);
      const fault = framingFault(outgoing.method, status, headers, limits.responseBytes);
      if (fault !== null) return fail(fault);
      connection.hint(keepAliveSeconds(headers));
      let reader: BodyReader;
      try {
        const codings = codingsOf(headers);
        reader = new BodyReader(codings, limits.responseBytes, scrubber, {
          whole: (bytes) => {
            if (settled) return;
            settle();
            resolve({ status, headers, body: bytes, decoded: codings.length > 0 });
          },
          fault: fail,
          drained: () => message.resume(),
        });
      } catch (thrown) {
        return fail(thrown);
      }
      body = reader;
      let bytes = 0;
      expectWithin(limits.idleMs, "idle_timeout");
      message.on("data", (chunk: Buffer) => {
        if (settled) return;
        bytes += chunk.length;
        progress.received(bytes);
        if (bytes > limits.responseBytes)
          return fail(new HostFailure("response_too_large", "body over the limit"));
        if (!reader.write(chunk)) message.pause();
        expectWithin(limits.idleMs, "idle_timeout");
      });
      message.on("error", (cause) => fail(wireFailure(cause)));
      message.on("end", () => {
        if (settled) return;
        if (!message.complete) return fail(new HostFailure("connection_reset", "body was cut off"));
        answered = true;
        reader.end();
      });
      message.on("close", () => {
        if (!answered) fail(new HostFailure("connection_reset", "body was cut off"));
      });
    });
    expectWithin(limits.headerMs, "header_timeout");
    // Node writes nothing before end() is called.
    progress.sending();
    sent.end(outgoing.body ?? undefined);
  });
}

function rawHeaders(outgoing: Outgoing): string[] {
  const raw = ["host", outgoing.authority, ...outgoing.headers.flat(), "accept-encoding", "identity"];
  const sendsBody = outgoing.method === "POST" || outgoing.method === "PUT" || outgoing.method === "PATCH";
  if (outgoing.body !== null || sendsBody) raw.push("content-length", String(outgoing.body?.length ?? 0));
  return raw;
}

function headerPairs(message: IncomingMessage): Header[] {
  const pairs: Header[] = [];
  for (let i = 0; i + 1 < message.rawHeaders.length; i += 2)
    pairs.push([(message.rawHeaders[i] ?? "").toLowerCase(), message.rawHeaders[i + 1] ?? ""]);
  return pairs;
}

/**
 * A body that ends where the connection ends cannot be told from one cut off on the way, so it is no answer
 * (RFC 9112 §6.3 and §9.8).
 */
function framingFault(
  method: HttpMethod,
  status: number,
  headers: readonly Header[],
  cap: number,
): HostFailure | null {
  if (headers.length >= MOST_HEADERS) return new HostFailure("malformed_response", "too many headers");
  if (method === "HEAD" || status === 204 || status === 304) return null;
  const coding = headers.filter(([name]) => name === "transfer-encoding").at(-1);
  if (coding !== undefined)
    return /(?:^|[,\s])chunked\s*$/i.test(coding[1])
      ? null
      : new HostFailure("malformed_response", "body without a length");
  const length = headers.find(([name]) => name === "content-length");
  if (length === undefined) return new HostFailure("malformed_response", "body without a length");
  if (Number(length[1]) > cap) return new HostFailure("response_too_large", "declared length over the limit");
  return null;
}

function keepAliveSeconds(headers: readonly Header[]): number | null {
  const value = headers.find(([name]) => name === "keep-alive")?.[1] ?? "";
  const found = /(?:^|[,\s])timeout=(\d{1,9})/i.exec(value);
  return found === null ? null : Number(found[1]);
}

function wireFailure(cause: unknown): HostFailure {
  if (cause instanceof HostFailure) return cause;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  return code.startsWith("HPE_")
    ? new HostFailure("malformed_response", "answer is not valid http", { cause })
    : new HostFailure("connection_reset", "connection broke", { cause });
}
