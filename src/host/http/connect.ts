import { connect as connectTcp, isIP, type Socket } from "node:net";
import tls from "node:tls";
import { sha256Hex } from "../../core/bytes.ts";
import { HostFailure, HostSetupError } from "../failure.ts";
import { sameAddress } from "./addresses.ts";

/** Where one connection goes: everything here is decided before the first packet. */
export interface DialTarget {
  readonly scheme: "http" | "https" | "tcp" | "tls";
  /** Name for TLS; a literal is checked as an address. */
  readonly host: string;
  /** The pinned literal. */
  readonly address: string;
  readonly port: number;
  /** Trust for this target; null for a connection in clear text. */
  readonly trust: TrustSet | null;
  /** Whose credentials go through it; empty when none do. Such a connection is never shared between two owners. */
  readonly owner: string;
}

/** A set of authorities, loaded once: building it per connection doubles the cost of a handshake. */
export interface TrustSet {
  /** SHA-256 of the authorities; tells sets apart in pool keys. */
  readonly id: string;
  readonly context: tls.SecureContext;
}

/**
 * Exactly the given PEM authorities and no others: an explicit list is the only one that `NODE_EXTRA_CA_CERTS` and
 * `SSL_CERT_FILE` cannot extend. Throws {@link HostSetupError} when one cannot be read.
 */
export function trustSet(authorities: readonly string[]): TrustSet {
  const id = sha256Hex(authorities.join("\n"));
  try {
    return { id, context: tls.createSecureContext({ ca: [...authorities], minVersion: "TLSv1.2" }) };
  } catch (cause) {
    throw new HostSetupError("a certificate authority cannot be read; it must be pem", { cause });
  }
}

/**
 * Opens a connection and hands it over only when it may carry a request: for https after the handshake, with the
 * certificate checked against the name, and in any case with the peer being the address that was judged. Until then
 * no byte of a request exists, so every failure here leaves the effect unreached. Through a `tunnel` that is open to
 * the target already, only the handshake is left; it is destroyed with the connection. `reached` is called when TCP is
 * open.
 *
 * Throws {@link HostFailure} `connect_failed`, `connect_timeout` or `tls_failed`, or the signal's reason.
 */
export function connect(
  target: DialTarget,
  timeoutMs: number,
  signal: AbortSignal,
  tunnel: Socket | null = null,
  reached: () => void = () => undefined,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      tunnel?.destroy();
      reject(signal.reason);
      return;
    }
    if (tunnel !== null && target.trust === null) return resolve(tunnel);
    const { socket, ready } = target.trust === null ? plain(target) : secured(target, target.trust, tunnel);
    let tcpOpen = tunnel !== null;
    const fail = (failure: unknown) => {
      stop();
      // A late error of a socket that nobody waits for must not end the process.
      socket.on("error", () => undefined);
      socket.destroy();
      tunnel?.destroy();
      reject(failure);
    };
    const onOpen = () => {
      tcpOpen = true;
      reached();
    };
    const onReady = () => {
      if (socket instanceof tls.TLSSocket && !socket.authorized)
        return fail(new HostFailure("tls_failed", "certificate is not trusted"));
      // The peer of a tunnel is the proxy; which target is behind it, only the certificate says.
      if (tunnel === null && !sameAddress(socket.remoteAddress ?? "", target.address))
        return fail(new HostFailure("connect_failed", "peer is not the pinned address"));
      stop();
      resolve(socket);
    };
    const onError = (cause: unknown) =>
      fail(
        tcpOpen && target.trust !== null
          ? new HostFailure("tls_failed", "tls handshake failed", { cause })
          : new HostFailure("connect_failed", "connection failed", { cause }),
      );
    const onClose = () => onError(undefined);
    const onAbort = () => fail(signal.reason);
    // The socket's own timeout does not run during a handshake.
    const timer = setTimeout(
      () => fail(new HostFailure("connect_timeout", "no connection in time")),
      timeoutMs,
    );
    const stop = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      socket.off("connect", onOpen);
      socket.off(ready, onReady);
      socket.off("error", onError);
      socket.off("close", onClose);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("connect", onOpen);
    socket.once(ready, onReady);
    socket.once("error", onError);
    socket.once("close", onClose);
  });
}

function plain(target: DialTarget) {
  const socket = connectTcp({ host: target.address, port: target.port, noDelay: true });
  return { socket, ready: "connect" as const };
}

function secured(target: DialTarget, trust: TrustSet, tunnel: Socket | null) {
  const socket: Socket = tls.connect({
    ...(tunnel === null ? { host: target.address, port: target.port } : { socket: tunnel }),
    // An address must not be sent as a server name (RFC 6066 §3).
    servername: isIP(target.host) === 0 ? target.host : "",
    secureContext: trust.context,
    // Said outright, as the default bends to NODE_TLS_REJECT_UNAUTHORIZED.
    rejectUnauthorized: true,
    checkServerIdentity: (_, certificate) => tls.checkServerIdentity(target.host, certificate),
    ...(target.scheme === "https" ? { ALPNProtocols: ["http/1.1"] } : {}),
  });
  socket.setNoDelay(true);
  return { socket, ready: "secureConnect" as const };
}
