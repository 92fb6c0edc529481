import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { PeerCredentials } from "../../identity/peercred.ts";
import { ClientGone, HttpFault, internalFault, parserFault } from "./fault.ts";
import type { FrontLimits } from "./limits.ts";
import { type FrontRequest, IncomingRequest, type SocketLabel } from "./request.ts";
import { refuseHead } from "./request-checks.ts";
import { type FrontResponse, OutgoingResponse } from "./response.ts";

/** Answers a request, at once or later. What it throws becomes the answer if it is an {@link HttpFault}, else a 500. */
export type RequestHandler = (request: FrontRequest, response: FrontResponse) => void | Promise<void>;

export interface ConnectionDeps {
  readonly limits: FrontLimits;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly onRequest: RequestHandler;
  /** Told of failures that the client is not told about. */
  readonly onError: (error: unknown) => void;
  readonly onClosed: (connection: Connection) => void;
}

export interface ConnectionOrigin {
  readonly peer: PeerCredentials | null;
  readonly label: SocketLabel;
}

/** A request whose answer is not out yet. */
interface Exchange {
  readonly response: ServerResponse;
  readonly request: IncomingRequest;
  readonly answer: OutgoingResponse;
  /** When its first byte came. */
  readonly startedAt: number;
}

/** One accepted connection: its timers, its requests in order, and its end. node:http parses and frames behind it. */
export class Connection {
  readonly origin: ConnectionOrigin;
  private readonly socket: Socket;
  private readonly deps: ConnectionDeps;
  private readonly exchanges: Exchange[] = [];
  /** When the head that is being read began; null between requests and inside bodies. */
  private headSince: number | null = null;
  /** When the connection was last free of requests, or the first of the queue came to its head. */
  private restedAt: number;
  private served = false;
  /** No further request is taken; those before are still answered. */
  private closing = false;
  /** The last answer is out: what was taken but not begun stays undone. */
  private ending = false;
  private draining = false;
  /** What is left to say once the answers before it are out. */
  private lastWord: HttpFault | null = null;
  /** When the connection is cut although its client still sends. */
  private cutAt: number | null = null;
  private lingered = 0;

  constructor(socket: Socket, origin: ConnectionOrigin, deps: ConnectionDeps) {
    this.socket = socket;
    this.origin = origin;
    this.deps = deps;
    this.restedAt = deps.now();
    socket.on("data", (chunk: Buffer) => this.received(chunk.length));
    socket.on("end", () => this.abortAll());
    // An error ends the connection; "close" follows and tells those who wait.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.closed());
    const destroySoon = socket.destroySoon.bind(socket);
    // node:http calls this after the last answer. Cutting off a client in the middle of its body would lose it the
    // answer, so there the connection lingers.
    socket.destroySoon = () => {
      this.ending = true;
      if (this.closing || this.exchanges.some(({ request }) => request.bodyPending)) this.linger();
      else destroySoon();
    };
  }

  /** Takes one parsed request. */
  take(message: IncomingMessage, response: ServerResponse): void {
    const { deps } = this;
    const startedAt = this.headSince ?? deps.now();
    this.headSince = null;
    if (this.closing) return;
    const request = new IncomingRequest(message, this.origin, deps.limits.bodyBytes);
    const answer = new OutgoingResponse(response, request, deps.now);
    const exchange: Exchange = { response, request, answer, startedAt };
    this.exchanges.push(exchange);
    this.served = true;
    // A request that breaks off ends as a closed connection, which is dealt with there.
    message.on("error", () => request.abort());
    response.on("close", () => this.settled(exchange));
    // Writing to a client that has gone is no failure; "close" says so to those who need to know.
    response.on("error", () => request.abort());
    if (this.draining) response.shouldKeepAlive = false;
    const fault = this.refusal(message);
    if (fault !== null) {
      this.closing = true;
      answer.fault(fault);
    } else if (this.exchanges.length === 1) this.begin(exchange);
  }

  /** The parser has given up, or the client asked for a tunnel: answer after what is in flight, then close. */
  refuse(fault: HttpFault): void {
    if (this.closing) return;
    this.closing = true;
    const last = this.exchanges.at(-1);
    if (last === undefined) this.say(fault);
    else if (!last.request.bodyPending) this.lastWord = fault;
    else {
      last.request.stop(fault);
      last.answer.fault(fault);
    }
  }

  /** An error of the parser or of the socket. */
  failed(code: string): void {
    if (code.startsWith("HPE_")) this.refuse(parserFault(code, this.deps.limits.headerBytes));
    else if (!this.closing) this.socket.destroy();
  }

  /** Enforces the limits of time; called every fraction of the shortest. */
  sweep(now: number): void {
    const { limits } = this.deps;
    if (this.cutAt !== null) {
      if (now >= this.cutAt) this.socket.destroy();
      return;
    }
    for (const { request, startedAt } of this.exchanges)
      if (request.awaitsBody && now - Math.max(startedAt, this.restedAt) >= limits.requestMs)
        request.stop(timeout("body", limits.requestMs));
    const first = this.exchanges[0];
    if (first !== undefined) {
      const { endedAt } = first.answer;
      if (endedAt !== null && now - Math.max(endedAt, this.restedAt) >= limits.writeMs) this.socket.destroy();
    } else if (
      this.headSince === null &&
      now - this.restedAt >= (this.served ? limits.idleMs : limits.headerMs)
    )
      this.socket.destroy();
    if (this.headSince !== null && now - this.headSince >= limits.headerMs)
      this.refuse(timeout("headers", limits.headerMs));
  }

  /** Takes no more requests; closes when the answers are out. */
  drain(): void {
    this.draining = true;
    for (const { response } of this.exchanges) response.shouldKeepAlive = false;
    if (this.exchanges.length === 0) this.socket.destroy();
  }

  destroy(): void {
    this.socket.destroy();
  }

  private refusal(message: IncomingMessage): HttpFault | null {
    const { limits } = this.deps;
    if (this.exchanges.length > limits.pipelined)
      return new HttpFault(
        400,
        "too_many_pipelined",
        `more than ${limits.pipelined} requests wait for answers`,
      );
    return refuseHead(
      {
        method: message.method ?? "",
        target: message.url ?? "",
        httpVersion: message.httpVersion,
        rawHeaders: message.rawHeaders,
      },
      limits,
    );
  }

  /** One at a time, in the order sent (RFC 9112 §9.3.2): a client may rely on the effect of the request before. */
  private begin(exchange: Exchange): void {
    this.handle(exchange).catch(this.deps.onError);
  }

  private async handle(exchange: Exchange): Promise<void> {
    const { request, answer } = exchange;
    // Lets the parser finish the bytes at hand, so that a request known to be broken by then is never begun, nor one
    // behind an answer that ended the connection.
    await null;
    if (answer.sent || this.ending) return;
    try {
      const pending = this.deps.onRequest(request, answer);
      if (pending === undefined) return;
      await pending;
      if (answer.sent) return;
      this.deps.onError(new Error(`no answer was given to ${request.method} ${request.path}`));
      answer.fault(internalFault());
    } catch (thrown) {
      if (thrown instanceof HttpFault) answer.fault(thrown);
      else if (thrown instanceof ClientGone) {
        if (!answer.sent) this.socket.destroy();
      } else {
        this.deps.onError(thrown);
        // An answer that was begun cannot be taken back; cut short, it cannot be mistaken for a whole one.
        if (answer.sent && answer.endedAt === null) this.socket.destroy();
        else answer.fault(internalFault());
      }
    }
  }

  private received(bytes: number): void {
    if (this.closing) {
      this.lingered += bytes;
      if (this.lingered > this.deps.limits.lingerBytes) this.socket.destroy();
      return;
    }
    const last = this.exchanges.at(-1);
    if (this.headSince === null && (last === undefined || !last.request.bodyPending))
      this.headSince = this.deps.now();
  }

  private settled(exchange: Exchange): void {
    const at = this.exchanges.indexOf(exchange);
    if (at < 0) return;
    this.exchanges.splice(at, 1);
    this.restedAt = this.deps.now();
    if (!exchange.response.writableFinished) exchange.request.abort();
    const next = this.exchanges[0];
    if (next !== undefined) this.begin(next);
    else if (this.lastWord !== null && !this.ending) this.say(this.lastWord);
    else if (this.draining) this.socket.destroySoon();
  }

  private say(fault: HttpFault): void {
    this.lastWord = null;
    this.socket.write(fault.bytes());
    this.linger();
  }

  /** Sends what is written, then reads and drops what still comes, for a while. */
  private linger(): void {
    if (this.cutAt !== null) return;
    this.closing = true;
    this.ending = true;
    this.cutAt = this.deps.now() + this.deps.limits.lingerMs;
    this.socket.end();
    this.socket.resume();
  }

  private abortAll(): void {
    for (const { request } of this.exchanges) request.abort();
  }

  private closed(): void {
    this.abortAll();
    this.exchanges.length = 0;
    this.deps.onClosed(this);
  }
}

function timeout(what: string, ms: number): HttpFault {
  return new HttpFault(408, "request_timeout", `the ${what} of the request did not arrive within ${ms} ms`);
}
