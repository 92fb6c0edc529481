import { Server as HttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer, type Server as NetServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Clock, systemClock } from "../../core/clock.ts";
import { openPeerReader, type PeerCredentials, type PeerReader } from "../../identity/peercred.ts";
import { Connection, type ConnectionOrigin, type RequestHandler } from "./connection.ts";
import { HttpFault, internalFault } from "./fault.ts";
import { FRONT_LIMITS, type FrontLimits } from "./limits.ts";
import type { SocketLabel } from "./request.ts";
import { publishSocket, type SocketFile, type SocketPlacement, withdrawSocket } from "./socket-file.ts";

export interface FrontOptions {
  readonly onRequest: RequestHandler;
  /** Told of handler failures and of connections whose peer cannot be read; the client learns neither. */
  readonly onError: (error: unknown) => void;
  readonly limits?: Partial<FrontLimits>;
  readonly clock?: Clock;
  readonly peers?: PeerReader;
}

export interface ListenOptions extends SocketPlacement {
  readonly label: SocketLabel;
}

/** The HTTP/1.1 front door: sockets, peers, limits, and an answer in JSON to whatever is wrong. */
export interface Front {
  /** Listens on a Unix socket; may be called for several. Throws as {@link publishSocket} does. */
  listen(options: ListenOptions): Promise<void>;
  /** Serves a connection that another listener accepted, such as TLS; its peer is null where there is none. */
  accept(socket: Socket, origin: ConnectionOrigin): void;
  /** Open connections. */
  readonly connections: number;
  /**
   * Stops listening and removes the sockets at once, lets requests in flight finish, and cuts what is left after the
   * deadline. Idle connections close at once.
   */
  close(deadlineMs: number): Promise<void>;
}

/** Connections over the limit that may wait for their refusal to be read; those beyond are cut at once. */
const TURNED_AWAY_AT_ONCE = 64;

/** Opens no socket yet. Throws `peer_credentials_unavailable` on a system that does not tell who connects. */
export function createFront(options: FrontOptions): Front {
  return new UnixFront(options);
}

class UnixFront implements Front {
  private readonly limits: FrontLimits;
  private readonly clock: Clock;
  private readonly options: FrontOptions;
  private readonly readPeer: PeerReader;
  private readonly http: HttpServer;
  private readonly listeners: { readonly server: NetServer; readonly file: SocketFile }[] = [];
  private readonly open = new Set<Connection>();
  /** Refused before they were served, and still reading their answer. */
  private readonly turnedAway = new Set<Socket>();
  /** By socket, for node:http's events, which know nothing else. */
  private readonly bySocket = new WeakMap<Duplex, Connection>();
  private readonly perUid = new Map<number, number>();
  private readonly sweeper: NodeJS.Timeout;
  private closing: Promise<void> | undefined;
  private emptied: (() => void) | undefined;

  constructor(options: FrontOptions) {
    this.options = options;
    this.limits = { ...FRONT_LIMITS, ...options.limits };
    this.clock = options.clock ?? systemClock;
    this.readPeer = options.peers ?? openPeerReader();
    this.http = this.parser();
    const { headerMs, requestMs, idleMs, writeMs, lingerMs } = this.limits;
    const shortest = Math.min(headerMs, requestMs, idleMs, writeMs, lingerMs);
    this.sweeper = setInterval(() => this.sweep(), Math.max(10, Math.min(500, shortest / 4)));
    this.sweeper.unref();
  }

  get connections(): number {
    return this.open.size;
  }

  async listen({ label, ...placement }: ListenOptions): Promise<void> {
    if (this.closing !== undefined) throw new Error("the front is closed");
    // Half-open, so that a client that has said all it will say can still be answered.
    const server = createServer({ allowHalfOpen: true }, (socket) => this.admit(socket, label));
    const file = await publishSocket(server, placement);
    server.on("error", this.options.onError);
    this.listeners.push({ server, file });
  }

  accept(socket: Socket, origin: ConnectionOrigin): void {
    const held = origin.peer === null ? 0 : (this.perUid.get(origin.peer.uid) ?? 0);
    if (
      this.closing !== undefined ||
      this.open.size >= this.limits.connections ||
      held >= this.limits.connectionsPerUid
    ) {
      this.turnAway(
        socket,
        new HttpFault(503, "too_many_connections", "no room for another connection; try again later"),
      );
      return;
    }
    if (origin.peer !== null) this.perUid.set(origin.peer.uid, held + 1);
    const connection = new Connection(socket, origin, {
      limits: this.limits,
      now: () => this.clock.monotonic(),
      onRequest: this.options.onRequest,
      onError: this.options.onError,
      onClosed: (closed) => this.forget(closed),
    });
    this.open.add(connection);
    this.bySocket.set(socket, connection);
    this.http.emit("connection", socket);
  }

  close(deadlineMs: number): Promise<void> {
    this.closing ??= this.shut(deadlineMs);
    return this.closing;
  }

  private async shut(deadlineMs: number): Promise<void> {
    for (const { server, file } of this.listeners.splice(0)) {
      server.close();
      withdrawSocket(file);
    }
    for (const socket of [...this.turnedAway]) socket.destroy();
    for (const connection of [...this.open]) connection.drain();
    if (this.open.size > 0) await this.untilEmpty(deadlineMs);
    clearInterval(this.sweeper);
  }

  private untilEmpty(deadlineMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cut = setTimeout(() => {
        for (const connection of [...this.open]) connection.destroy();
      }, deadlineMs);
      this.emptied = () => {
        clearTimeout(cut);
        resolve();
      };
    });
  }

  private admit(socket: Socket, label: SocketLabel): void {
    let peer: PeerCredentials;
    try {
      peer = this.readPeer(socket);
    } catch (error) {
      this.options.onError(error);
      this.turnAway(socket, internalFault());
      return;
    }
    this.accept(socket, { peer, label });
  }

  /** node:http as parser and framer alone: it never listens, and answers nothing by itself. */
  private parser(): HttpServer {
    const server = new HttpServer({
      maxHeaderSize: this.limits.headerBytes,
      // Only the hint to clients: time is kept by the connections.
      keepAliveTimeout: this.limits.idleMs,
      requireHostHeader: false,
      insecureHTTPParser: false,
    });
    // One more than is allowed, so that a request over the limit is seen to be: the parser drops the rest unsaid.
    server.maxHeadersCount = this.limits.headerCount + 1;
    // An undocumented switch of node:http, assigned because its type does not name it.
    Object.assign(server, { httpAllowHalfOpen: true });
    const take = (message: IncomingMessage, response: ServerResponse) =>
      this.bySocket.get(message.socket)?.take(message, response);
    server.on("request", take);
    // Without these two node:http would answer an Expect header itself.
    server.on("checkContinue", take);
    server.on("checkExpectation", take);
    server.on("connect", (_message, socket) =>
      this.bySocket
        .get(socket)
        ?.refuse(new HttpFault(405, "method_not_allowed", "the gate is not a proxy: CONNECT is not served")),
    );
    server.on("clientError", (error: Error & { readonly code?: unknown }, socket) =>
      this.bySocket.get(socket)?.failed(typeof error.code === "string" ? error.code : ""),
    );
    return server;
  }

  /** Answers a connection that gets no place. It may take its answer for a moment, unless too many do. */
  private turnAway(socket: Socket, fault: HttpFault): void {
    // The client may be gone already; there is nobody else to tell.
    socket.on("error", () => socket.destroy());
    socket.end(fault.bytes());
    if (this.turnedAway.size >= TURNED_AWAY_AT_ONCE) {
      socket.destroySoon();
      return;
    }
    socket.resume();
    const cut = setTimeout(() => socket.destroy(), this.limits.lingerMs);
    this.turnedAway.add(socket);
    socket.on("close", () => {
      clearTimeout(cut);
      this.turnedAway.delete(socket);
    });
  }

  private sweep(): void {
    const now = this.clock.monotonic();
    for (const connection of this.open) connection.sweep(now);
  }

  private forget(connection: Connection): void {
    this.open.delete(connection);
    const { peer } = connection.origin;
    if (peer !== null) {
      const held = (this.perUid.get(peer.uid) ?? 0) - 1;
      if (held > 0) this.perUid.set(peer.uid, held);
      else this.perUid.delete(peer.uid);
    }
    if (this.open.size === 0) this.emptied?.();
  }
}
