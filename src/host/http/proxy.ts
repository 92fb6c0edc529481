import { isIP, type Socket } from "node:net";
import { SECRET_NAME } from "../../core/secret-binding.ts";
import type { OpenSecrets } from "../../core/secrets.ts";
import { parseTargetUrl, UrlError } from "../../core/url.ts";
import { HostFailure, HostSetupError } from "../failure.ts";
import { connect, type DialTarget } from "./connect.ts";
import type { Resolve } from "./resolver.ts";
import { within } from "./within.ts";

/** `[egress] proxy` of the configuration. */
export interface ProxySetting {
  /** `http://host[:port]`. */
  readonly url: string;
  /** Name of a secret `user:password` for it; null for a proxy that asks for none. */
  readonly secret: string | null;
}

/** The proxy that requests to public addresses go through. */
export interface EgressProxy {
  /** A name, resolved anew for each connection, or a literal. It may be private: the operator chose it. */
  readonly host: string;
  readonly port: number;
  readonly secret: string | null;
}

/** Where one tunnel is opened. */
export interface ProxyRoute {
  readonly address: string;
  readonly port: number;
  /** `user:password`; null for none. */
  readonly login: Uint8Array | null;
}

/** Checks the setting. Throws {@link HostSetupError}. */
export function readProxy({ url, secret }: ProxySetting): EgressProxy {
  if (secret !== null && !SECRET_NAME.test(secret))
    throw new HostSetupError("egress.proxy_secret must be the name of a secret");
  try {
    const { scheme, host, port, path, query } = parseTargetUrl(url);
    if (scheme === "http" && path === "/" && query === "") return { host, port, secret };
  } catch (thrown) {
    if (!(thrown instanceof UrlError)) throw thrown;
  }
  throw new HostSetupError("egress.proxy must be http://host:port", {
    hint: "a login goes into a secret that egress.proxy_secret names",
  });
}

/** Finds the way to the proxy for one connection at a time. */
export class ProxyRoutes {
  /** Name of the secret that the proxy asks for; null without one. */
  readonly secret: string | null;
  private readonly proxy: EgressProxy;
  private readonly resolve: Resolve;
  private readonly dnsMs: number;

  constructor(proxy: EgressProxy, resolve: Resolve, dnsMs: number) {
    this.secret = proxy.secret;
    this.proxy = proxy;
    this.resolve = resolve;
    this.dnsMs = dnsMs;
  }

  /**
   * The proxy's address, which is not judged, as it is often a private one. Throws {@link HostFailure} `dns_failed`,
   * or the signal's reason.
   *
   * @param secrets where the login is; null only for a proxy that asks for none
   */
  async route(secrets: OpenSecrets | null, signal: AbortSignal): Promise<ProxyRoute> {
    const { host, port } = this.proxy;
    const late = new HostFailure("dns_failed", "the proxy's name was not resolved in time");
    const found = async (inner: AbortSignal) => (await this.resolve(host, inner))[0]?.address;
    const address = isIP(host) === 0 ? await within(this.dnsMs, late, signal, found) : host;
    if (address === undefined) throw new HostFailure("dns_failed", "the proxy's name has no address");
    const login = this.secret === null ? null : (secrets?.bytes(this.secret) ?? null);
    return { address, port, login };
  }
}

const LONGEST_HEAD = 16_384;

/**
 * Opens a tunnel to the pinned address of a target and, for https, does the handshake with the target through it. The
 * proxy is told an address and never a name, so that it cannot resolve one to somewhere else, and it sees nothing of
 * what is said inside.
 *
 * Throws {@link HostFailure} `connect_failed`, `connect_timeout`, `tls_failed` or `proxy_refused`, or the signal's
 * reason.
 */
export async function connectThrough(
  route: ProxyRoute,
  target: DialTarget,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Socket> {
  const hop = { ...target, scheme: "http", address: route.address, port: route.port, trust: null } as const;
  const socket = await connect(hop, timeoutMs, signal);
  await openTunnel(socket, target, route.login, signal);
  return connect(target, timeoutMs, signal, socket);
}

/** RFC 9110 §9.3.6. */
function openTunnel(
  socket: Socket,
  { address, port }: DialTarget,
  login: Uint8Array | null,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let head = "";
    const stop = () => {
      signal.removeEventListener("abort", onAbort);
      socket.off("data", onData);
      socket.off("error", onGone);
      socket.off("close", onGone);
    };
    const fail = (failure: unknown) => {
      stop();
      // A late error of a socket that nobody waits for must not end the process.
      socket.on("error", () => undefined);
      socket.destroy();
      reject(failure);
    };
    const onAbort = () => fail(signal.reason);
    const onGone = () => fail(new HostFailure("proxy_refused", "the proxy closed the connection"));
    const onData = (chunk: Buffer) => {
      head += chunk.toString("latin1");
      const end = head.indexOf("\r\n\r\n");
      if (end < 0) {
        if (head.length > LONGEST_HEAD)
          fail(new HostFailure("proxy_refused", "the proxy's answer is too long"));
        return;
      }
      // The target has not been spoken to: whatever follows the head would be the proxy's own.
      if (!/^HTTP\/1\.[01] 2\d\d[ \r]/.test(head) || head.length > end + 4)
        return fail(new HostFailure("proxy_refused", "the proxy opens no tunnel to the target"));
      stop();
      // From here on the connection through it tells what goes wrong.
      socket.on("error", () => undefined);
      resolve();
    };
    if (signal.aborted) return fail(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    socket.on("data", onData);
    socket.once("error", onGone);
    socket.once("close", onGone);
    const authority = `${isIP(address) === 6 ? `[${address}]` : address}:${port}`;
    const lines = [`CONNECT ${authority} HTTP/1.1`, `host: ${authority}`];
    if (login !== null) lines.push(`proxy-authorization: Basic ${Buffer.from(login).toString("base64")}`);
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  });
}
