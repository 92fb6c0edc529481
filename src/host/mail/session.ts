import type { Socket } from "node:net";
import { isIP } from "node:net";
import { Readable } from "node:stream";
import tls from "node:tls";
import SMTPConnection, { type SMTPConnectionSendInfo } from "nodemailer/lib/smtp-connection";
import type { MailServer } from "../../core/plan/mail.ts";
import type { TrustSet } from "../http/connect.ts";
import { deliveryFailure } from "./delivery-failure.ts";

export interface Delivery {
  /** Open, with the certificate checked when TLS has begun already. */
  readonly socket: Socket;
  readonly server: MailServer;
  /** For STARTTLS; null when there is no TLS. */
  readonly trust: TrustSet | null;
  /** What the client calls itself (RFC 5321 §4.1.1.1). */
  readonly clientName: string;
  readonly login: { readonly user: string; readonly password: string } | null;
  readonly from: string;
  readonly recipients: readonly string[];
  readonly message: Buffer;
  readonly timeouts: { readonly greetingMs: number; readonly idleMs: number };
  readonly signal: AbortSignal;
  /** Called once, before the first byte of the message leaves: the server has opened the data phase. */
  readonly sending: () => void;
}

export interface Delivered {
  readonly refused: readonly string[];
  /** The reply to the end of data, such as 250. */
  readonly status: number;
}

/**
 * Hands one message to a server (RFC 5321) over a connection that is open. With `starttls` nothing but the greeting is
 * said before TLS stands. Resolves when the server has taken the message for at least one recipient. When it rejects, the
 * connection is closed already. Throws `HostFailure` by {@link deliveryFailure}, or the signal's reason.
 */
export async function deliver(delivery: Delivery): Promise<Delivered> {
  const { socket, signal, server } = delivery;
  const client = new SMTPConnection(clientOptions(delivery));
  let upgrading = false;
  const broken = new Promise<never>((_, reject) => {
    client.once("error", (cause) => {
      upgrading = server.start === "starttls" && delivery.trust !== null && !client.secure;
      reject(cause);
    });
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    if (signal.aborted) reject(signal.reason);
  });
  broken.catch(() => undefined); // each step below waits for it too
  const step = <T>(run: (done: (error: Error | null | undefined, value?: T) => void) => unknown) =>
    Promise.race([
      broken,
      new Promise<T | undefined>((resolve, reject) =>
        run((error, value) => (error ? reject(error) : resolve(value))),
      ),
    ]);
  try {
    await step<void>((done) => client.connect(done));
    const { login } = delivery;
    if (login !== null)
      await step<boolean>((done) => client.login({ user: login.user, pass: login.password }, done));
    const envelope = { from: delivery.from, to: [...delivery.recipients], size: delivery.message.length };
    const info = await step<SMTPConnectionSendInfo>((done) => client.send(envelope, body(delivery), done));
    leave(client, socket);
    return { refused: info?.rejected ?? [], status: Number(info?.response.slice(0, 3)) };
  } catch (thrown) {
    client.close();
    await destroyed(socket);
    throw signal.aborted ? signal.reason : deliveryFailure(thrown, upgrading);
  }
}

function clientOptions({ socket, server, trust, clientName, timeouts }: Delivery) {
  const implicit = trust !== null && server.start === "implicit";
  return {
    connection: socket,
    host: server.host,
    port: server.port,
    name: clientName,
    secure: implicit,
    secured: implicit,
    // Without it a server, or who sits before it, may leave STARTTLS out and be told the password in clear text.
    requireTLS: trust !== null && !implicit,
    ignoreTLS: trust === null,
    tls: trust === null ? {} : tlsOptions(server.host, trust),
    connectionTimeout: timeouts.greetingMs,
    greetingTimeout: timeouts.greetingMs,
    socketTimeout: timeouts.idleMs,
    socketCloseTimeout: 0,
    maxResponseSize: 65_536,
    logger: false,
  };
}

function tlsOptions(host: string, trust: TrustSet): tls.ConnectionOptions {
  return {
    // An address must not be sent as a server name (RFC 6066 §3).
    servername: isIP(host) === 0 ? host : "",
    secureContext: trust.context,
    // Said outright, as the default bends to NODE_TLS_REJECT_UNAUTHORIZED.
    rejectUnauthorized: true,
    checkServerIdentity: (_, certificate) => tls.checkServerIdentity(host, certificate),
  };
}

/** The message as a stream, which is first read from when the server has answered DATA. */
function body({ message, sending }: Delivery): Readable {
  return Readable.from(
    (function* () {
      sending();
      yield message;
    })(),
    { objectMode: false },
  );
}

/** QUIT, as the protocol asks for; the message is done, and nobody waits for the answer. */
function leave(client: SMTPConnection, socket: Socket): void {
  const timer = setTimeout(() => socket.destroy(), 1000);
  timer.unref();
  client.on("error", () => undefined);
  socket.on("error", () => undefined);
  socket.once("close", () => clearTimeout(timer));
  client.quit();
}

function destroyed(socket: Socket): Promise<void> {
  if (socket.closed) return Promise.resolve();
  return new Promise((resolve) => {
    socket.once("close", () => resolve());
    socket.on("error", () => undefined);
    socket.destroy();
  });
}
