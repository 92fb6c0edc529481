import type { Socket } from "node:net";
import { isIP } from "node:net";
import tls from "node:tls";
import { type ChannelModel, type ConfirmChannel, connect as open } from "amqplib";
import type { Endpoint } from "../../core/plan.ts";
import type { Located } from "../endpoints.ts";
import { connect } from "../http/connect.ts";

export interface Session {
  readonly channel: ConfirmChannel;
  /** Rejects when the broker ends the channel or the connection; whoever waits for an answer waits for it too. */
  readonly broken: Promise<never>;
  /** Ends it at once; resolves when nothing more can leave. */
  destroy(): Promise<void>;
  /** Says goodbye, which nobody waits for. */
  leave(): void;
}

export interface SessionSetup {
  readonly place: Located;
  readonly server: Endpoint;
  readonly vhost: string;
  readonly password: string;
  readonly connectMs: number;
  readonly signal: AbortSignal;
}

/** Largest frame either way; RabbitMQ's usual. */
const LARGEST_FRAME = 131_072;
/** How long a goodbye may take. */
const GOODBYE_MS = 1000;

/**
 * Opens a connection (AMQP 0-9-1) and a channel that confirms, to the address that was judged and, unless TLS is off, with
 * the certificate checked against the host's name. When it rejects, everything is closed already. Throws the library's
 * error, `HostFailure` by {@link connect}, or the signal's reason.
 */
export async function openSession(setup: SessionSetup): Promise<Session> {
  const { place, signal, connectMs } = setup;
  // Under TLS the library gets a connection that stands; in clear text, to loopback alone, it dials the literal address.
  const raw = place.trust === null ? null : await connect(place.target, connectMs, signal);
  const abort = () => raw?.destroy();
  signal.addEventListener("abort", abort, { once: true });
  let model: ChannelModel | null = null;
  try {
    model = await open(addressOf(setup), { ...tlsOptions(setup, raw), timeout: connectMs, noDelay: true });
    const broken = breakOf(model);
    const channel = await Promise.race([model.createConfirmChannel(), broken, aborted(signal)]);
    return sessionOf(model, channel, raw, broken);
  } catch (thrown) {
    await destroyed(raw ?? streamOf(model));
    throw signal.aborted ? signal.reason : thrown;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function sessionOf(
  model: ChannelModel,
  channel: ConfirmChannel,
  raw: Socket | null,
  lost: Promise<never>,
): Session {
  const closed = new Promise<never>((_, reject) => channel.once("error", reject));
  const broken = Promise.race([lost, closed]);
  broken.catch(() => undefined); // often nobody waits any more
  const socket = raw ?? streamOf(model);
  return {
    channel,
    broken,
    destroy: () => destroyed(socket),
    leave: () => {
      const timer = setTimeout(() => socket?.destroy(), GOODBYE_MS);
      timer.unref();
      model.close().then(
        () => clearTimeout(timer),
        () => socket?.destroy(),
      );
    },
  };
}

function addressOf({ place, server, vhost, password }: SessionSetup) {
  return {
    protocol: place.trust === null ? "amqp" : "amqps",
    hostname: place.target.address,
    port: place.target.port,
    username: server.user ?? "",
    password,
    // The library decodes it.
    vhost: encodeURIComponent(vhost),
    frameMax: LARGEST_FRAME,
    maxFrameSize: LARGEST_FRAME,
    heartbeat: 0,
  };
}

function tlsOptions({ place, server }: SessionSetup, socket: Socket | null): tls.ConnectionOptions {
  if (place.trust === null || socket === null) return {};
  const { host } = server;
  return {
    socket,
    // An address must not be sent as a server name (RFC 6066 §3).
    servername: isIP(host) === 0 ? host : "",
    secureContext: place.trust.context,
    // Said outright, as the default bends to NODE_TLS_REJECT_UNAUTHORIZED.
    rejectUnauthorized: true,
    checkServerIdentity: (_, certificate) => tls.checkServerIdentity(host, certificate),
  };
}

function breakOf(model: ChannelModel): Promise<never> {
  const broken = new Promise<never>((_, reject) => {
    model.on("error", reject);
    model.on("close", () => reject(new Error("the connection is closed")));
  });
  broken.catch(() => undefined); // whoever waits for an answer sees it
  return broken;
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** The library's own socket, which its types leave out. */
function streamOf(model: ChannelModel | null): Socket | null {
  const connection: unknown = model?.connection;
  if (typeof connection !== "object" || connection === null || !("stream" in connection)) return null;
  return connection.stream as Socket; // a net.Socket, as the library has dialled it itself
}

function destroyed(socket: Socket | null): Promise<void> {
  if (socket === null || socket.closed) return Promise.resolve();
  return new Promise((resolve) => {
    socket.once("close", () => resolve());
    socket.on("error", () => undefined);
    socket.destroy();
  });
}
