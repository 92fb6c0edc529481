import type { IncomingMessage } from "node:http";
import type { PeerCredentials } from "../../identity/peercred.ts";
import { ClientGone, HttpFault } from "./fault.ts";
import { bodyTooLarge } from "./request-checks.ts";

/** Which door a request came by. It is a fact for routing, never a proof of who is asking. */
export type SocketLabel = "client" | "admin";

/** One request whose head has been read and found sound. */
export interface FrontRequest {
  readonly method: string;
  /** As sent: percent-encoded, starting with `/`, without query. */
  readonly path: string;
  /** As sent, without its `?`; empty when there is none. */
  readonly query: string;
  readonly rawHeaders: readonly (readonly [name: string, value: string])[];
  /** Null on transports without peer credentials. */
  readonly peer: PeerCredentials | null;
  readonly socket: SocketLabel;
  /** Aborted when the client closes its connection, or its sending side, before the answer is out. */
  readonly signal: AbortSignal;
  /** The value of the only such header; throws an {@link HttpFault} when it was sent more than once. */
  header(name: string): string | undefined;
  /** Every value, in the order sent. */
  headers(name: string): string[];
  /**
   * Reads the whole body; the same promise on each call.
   * Rejects with an {@link HttpFault} (413, 408, 400) to be answered, or {@link ClientGone}.
   */
  body(): Promise<Uint8Array>;
}

/** The front's view of the request: what a handler sees, and the switches that the connection holds. */
export class IncomingRequest implements FrontRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly peer: PeerCredentials | null;
  readonly socket: SocketLabel;
  private readonly message: IncomingMessage;
  private readonly bodyBytes: number;
  private readonly framed: boolean;
  private byName: Map<string, string[]> | undefined;
  private controller: AbortController | undefined;
  private aborted = false;
  private reading: Promise<Uint8Array> | undefined;
  private fail: ((cause: Error) => void) | undefined;
  private failure: Error | undefined;

  constructor(
    message: IncomingMessage,
    origin: { readonly peer: PeerCredentials | null; readonly label: SocketLabel },
    bodyBytes: number,
  ) {
    const target = message.url ?? "/";
    const mark = target.indexOf("?");
    this.message = message;
    this.method = message.method ?? "";
    this.path = mark < 0 ? target : target.slice(0, mark);
    this.query = mark < 0 ? "" : target.slice(mark + 1);
    this.peer = origin.peer;
    this.socket = origin.label;
    this.bodyBytes = bodyBytes;
    this.framed = announcesBody(message.rawHeaders);
  }

  get rawHeaders(): readonly (readonly [string, string])[] {
    const flat = this.message.rawHeaders;
    const pairs: [string, string][] = [];
    for (let i = 0; i < flat.length; i += 2) pairs.push([flat[i] ?? "", flat[i + 1] ?? ""]);
    return pairs;
  }

  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      if (this.aborted) this.controller.abort(new ClientGone());
    }
    return this.controller.signal;
  }

  /** Whether bytes of the body are still to come. */
  get bodyPending(): boolean {
    return this.framed && !this.message.complete;
  }

  /** Whether someone waits for body bytes that have not come. */
  get awaitsBody(): boolean {
    return this.fail !== undefined;
  }

  header(name: string): string | undefined {
    const values = this.valuesOf(name);
    if (values !== undefined && values.length > 1)
      throw new HttpFault(400, "bad_request", `more than one ${name.toLowerCase()} header`);
    return values?.[0];
  }

  headers(name: string): string[] {
    return [...(this.valuesOf(name) ?? [])];
  }

  body(): Promise<Uint8Array> {
    if (this.reading === undefined) {
      this.reading = this.read();
      // A handler may begin the reading and look at it later; a rejection before that must not end the process.
      this.reading.catch(() => undefined);
    }
    return this.reading;
  }

  /** The client is gone: aborts the signal and ends the wait for the body. */
  abort(): void {
    if (this.aborted) return;
    this.aborted = true;
    this.controller?.abort(new ClientGone());
    this.stop(new ClientGone());
  }

  /** Ends the wait for the body, now and on later calls. */
  stop(cause: Error): void {
    this.failure ??= cause;
    this.fail?.(cause);
  }

  private valuesOf(name: string): readonly string[] | undefined {
    if (this.byName === undefined) {
      this.byName = new Map();
      const flat = this.message.rawHeaders;
      for (let i = 0; i < flat.length; i += 2) {
        const key = (flat[i] ?? "").toLowerCase();
        const values = this.byName.get(key);
        if (values === undefined) this.byName.set(key, [flat[i + 1] ?? ""]);
        else values.push(flat[i + 1] ?? "");
      }
    }
    return this.byName.get(name.toLowerCase());
  }

  private read(): Promise<Uint8Array> {
    const { message, bodyBytes } = this;
    return new Promise((resolve, reject) => {
      if (this.failure !== undefined) {
        reject(this.failure);
        return;
      }
      const chunks: Buffer[] = [];
      let size = 0;
      const settle = () => {
        this.fail = undefined;
        message.removeListener("data", take);
        message.removeListener("end", done);
      };
      const take = (chunk: Buffer) => {
        size += chunk.length;
        if (size > bodyBytes) this.stop(bodyTooLarge(bodyBytes));
        else chunks.push(chunk);
      };
      const done = () => {
        settle();
        resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks));
      };
      this.fail = (cause) => {
        settle();
        reject(cause);
      };
      message.on("data", take);
      message.on("end", done);
    });
  }
}

/** RFC 9112 §6.3: a request has a body when one of these says so. */
function announcesBody(rawHeaders: readonly string[]): boolean {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]?.toLowerCase();
    if (name === "transfer-encoding" || (name === "content-length" && Number(rawHeaders[i + 1]) > 0))
      return true;
  }
  return false;
}
