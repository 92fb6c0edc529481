import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { HttpFault } from "./fault.ts";

export type ResponseHeaders = { readonly [name: string]: string };

/** Answers one request, once. A second answer, or one to a request that the front has already refused, is dropped. */
export interface FrontResponse {
  /** Whether an answer was begun, by the handler or by the front. */
  readonly sent: boolean;
  json(status: number, value: unknown, headers?: ResponseHeaders): void;
  /** A body of another type, such as metrics. */
  text(status: number, contentType: string, body: string, headers?: ResponseHeaders): void;
  empty(status: number, headers?: ResponseHeaders): void;
  /** Begins an answer without a known end, such as server-sent events; null when an answer was begun before. */
  stream(status: number, contentType: string, headers?: ResponseHeaders): FrontStream | null;
}

export interface FrontStream {
  /** False, and the connection is cut, when the client does not keep up with what is written. */
  write(text: string): boolean;
  end(): void;
}

/** What may wait in memory for a client that reads a stream slowly. */
const STREAM_BACKLOG_BYTES = 1_048_576;

export class OutgoingResponse implements FrontResponse {
  private readonly response: ServerResponse;
  private begun = false;
  private finishedAt: number | null = null;
  private readonly request: { readonly bodyPending: boolean };
  private readonly now: () => number;

  constructor(response: ServerResponse, request: { readonly bodyPending: boolean }, now: () => number) {
    this.response = response;
    this.request = request;
    this.now = now;
  }

  get sent(): boolean {
    return this.begun;
  }

  /** When the whole answer was handed over, on the monotonic clock; null before. */
  get endedAt(): number | null {
    return this.finishedAt;
  }

  json(status: number, value: unknown, headers: ResponseHeaders = {}): void {
    this.text(status, "application/json", JSON.stringify(value), headers);
  }

  text(status: number, contentType: string, body: string, headers: ResponseHeaders = {}): void {
    if (
      !this.begin(status, {
        "content-type": contentType,
        "content-length": Buffer.byteLength(body),
        ...headers,
      })
    )
      return;
    this.finish(body);
  }

  empty(status: number, headers: ResponseHeaders = {}): void {
    const bodiless = status === 204 || status === 304;
    if (this.begin(status, bodiless ? headers : { "content-length": 0, ...headers })) this.finish();
  }

  stream(status: number, contentType: string, headers: ResponseHeaders = {}): FrontStream | null {
    if (!this.begin(status, { "content-type": contentType, ...headers })) return null;
    this.response.flushHeaders();
    return {
      write: (text) => {
        if (this.response.destroyed || this.response.writableEnded) return false;
        this.response.write(text);
        if (this.response.writableLength <= STREAM_BACKLOG_BYTES) return true;
        this.response.destroy();
        return false;
      },
      end: () => {
        if (this.finishedAt === null) this.finish();
      },
    };
  }

  /** Answers with an error and asks for the connection to be closed. */
  fault(fault: HttpFault): void {
    this.text(fault.status, "application/json", fault.body(), { connection: "close" });
  }

  private begin(status: number, headers: OutgoingHttpHeaders): boolean {
    if (this.begun) return false;
    this.begun = true;
    // Nobody will read the rest of the body, so there is no next request on this connection.
    const close = this.request.bodyPending ? { connection: "close" } : {};
    this.response.writeHead(status, { "cache-control": "no-store", ...headers, ...close });
    return true;
  }

  private finish(body?: string): void {
    this.finishedAt = this.now();
    if (body === undefined) this.response.end();
    else this.response.end(body);
  }
}
