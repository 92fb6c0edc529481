import { Agent } from "node:http";
import type { Socket } from "node:net";
import { HostFailure } from "../failure.ts";
import { connect, type DialTarget } from "./connect.ts";
import { connectThrough, type ProxyRoute } from "./proxy.ts";
import { within } from "./within.ts";

/** Below the keep-alive time of common servers (5 s and up), so that a reused connection is rarely a dead one. */
const IDLE_MS = 4000;
const MOST_IDLE = 128;
const MOST_IDLE_PER_TARGET = 32;

/** One open connection, held by at most one exchange at a time. */
export interface Connection {
  /** An agent for this one connection: it brings node's HTTP/1.1 client, and nothing that could dial. */
  readonly agent: Agent;
  readonly reused: boolean;
  /** Destroys it and resolves once it is closed: from then on nothing more can leave through it. */
  end(): Promise<void>;
  /** Says how long the server keeps it open, from its Keep-Alive header; null when it did not say. */
  hint(seconds: number | null): void;
}

export interface ConnectionStats {
  readonly opened: number;
  readonly reused: number;
  readonly open: number;
  readonly idle: number;
}

/**
 * Keep-alive connections by scheme, name, port, pinned address, trust and owner of credentials: a connection serves
 * only requests that would have dialled the very same place with the very same checks. Some servers tie a login to the
 * connection that it came by; so one that has carried a credential never carries a request of somebody else.
 */
export class ConnectionPool {
  private readonly idle = new Map<string, PooledConnection[]>();
  private readonly open = new Set<PooledConnection>();
  private idleCount = 0;
  private opened = 0;
  private reused = 0;
  private closed = false;

  /**
   * Takes a warm connection or opens one, through a proxy if there is a route; errors as {@link connect} and
   * {@link connectThrough}. `reached` is called once somebody answers who is dialled directly.
   */
  async acquire(
    target: DialTarget,
    route: ProxyRoute | null,
    timeoutMs: number,
    signal: AbortSignal,
    reached: () => void = () => undefined,
  ): Promise<Connection> {
    signal.throwIfAborted();
    if (this.closed) throw new HostFailure("cancelled", "the pool is closed");
    const key = keyOf(target, route);
    const warm = this.take(key);
    if (warm !== null) {
      this.reused += 1;
      return warm;
    }
    const late = new HostFailure("connect_timeout", "no connection in time");
    const socket =
      route === null
        ? await connect(target, timeoutMs, signal, null, reached)
        : await within(timeoutMs, late, signal, (inner) => connectThrough(route, target, timeoutMs, inner));
    if (this.closed) {
      socket.destroy();
      throw new HostFailure("cancelled", "the pool is closed");
    }
    this.opened += 1;
    const connection = new PooledConnection(socket, () => this.release(key, connection));
    this.open.add(connection);
    socket.once("close", () => {
      this.open.delete(connection);
      this.remove(key, connection);
    });
    // An idle connection that breaks is simply gone; one in use reports through its request.
    socket.on("error", () => undefined);
    return connection;
  }

  stats(): ConnectionStats {
    return { opened: this.opened, reused: this.reused, open: this.open.size, idle: this.idleCount };
  }

  /** Destroys every connection; later requests are refused. */
  async close(): Promise<void> {
    this.closed = true;
    await Promise.all([...this.open].map((connection) => connection.end()));
  }

  private take(key: string): PooledConnection | null {
    for (;;) {
      const connection = this.idle.get(key)?.at(-1);
      if (connection === undefined) return null;
      this.remove(key, connection);
      if (usable(connection.socket)) {
        connection.take();
        return connection;
      }
      connection.socket.destroy();
    }
  }

  private release(key: string, connection: PooledConnection): void {
    const peers = this.idle.get(key) ?? [];
    const full = this.idleCount >= MOST_IDLE || peers.length >= MOST_IDLE_PER_TARGET;
    if (this.closed || full || !usable(connection.socket) || !connection.rest(IDLE_MS)) {
      connection.socket.destroy();
      return;
    }
    peers.push(connection);
    this.idle.set(key, peers);
    this.idleCount += 1;
  }

  private remove(key: string, connection: PooledConnection): void {
    const peers = this.idle.get(key);
    const at = peers?.indexOf(connection) ?? -1;
    if (peers === undefined || at < 0) return;
    peers.splice(at, 1);
    if (peers.length === 0) this.idle.delete(key);
    this.idleCount -= 1;
  }
}

class PooledConnection implements Connection {
  readonly socket: Socket;
  readonly agent: Agent;
  reused = false;
  private hintMs: number | null = null;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private readonly closed: Promise<void>;

  constructor(socket: Socket, onFree: () => void) {
    this.socket = socket;
    this.closed = new Promise((resolve) => {
      socket.once("close", () => resolve());
    });
    this.agent = new Agent({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1 });
    let given = false;
    this.agent.createConnection = () => {
      if (given) throw new HostFailure("connection_reset", "connection is gone");
      given = true;
      return socket;
    };
    // The agent's own listener came first: the socket is either kept by it or destroyed already.
    this.agent.on("free", onFree);
  }

  end(): Promise<void> {
    this.socket.destroy();
    return this.closed;
  }

  hint(seconds: number | null): void {
    this.hintMs = seconds === null ? null : seconds * 1000 - 1000;
  }

  /** Starts the idle clock; false when the server will not wait that long. */
  rest(idleMs: number): boolean {
    const ms = Math.min(idleMs, this.hintMs ?? idleMs);
    if (ms <= 0) return false;
    this.timer = setTimeout(() => this.socket.destroy(), ms);
    this.timer.unref();
    return true;
  }

  take(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.reused = true;
  }
}

function usable(socket: Socket): boolean {
  return !socket.destroyed && socket.readable && socket.writable;
}

function keyOf(target: DialTarget, route: ProxyRoute | null): string {
  const { scheme, host, port, address, trust, owner } = target;
  const via = route === null ? "" : `${route.address} ${route.port}`;
  return [scheme, host, port, address, trust?.id ?? "", via, owner].join("|");
}
