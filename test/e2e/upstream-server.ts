/** A TLS server on loopback that stands for a remote API and keeps each request byte for byte. */
import { createServer, type TLSSocket } from "node:tls";
import { issue, makeAuthority } from "../certificates.ts";
import type { GateSetup } from "../gate-process.ts";

export interface UpstreamRequest {
  readonly method: string;
  /** Path and query, as sent. */
  readonly target: string;
  /** Names as sent, in order. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
  /** Head and body, exactly as they came. */
  readonly raw: Buffer;
}

export type Reply = (socket: TLSSocket, request: UpstreamRequest) => void;

export interface Upstream {
  readonly host: string;
  readonly port: number;
  /** `https://api.test:<port>` */
  readonly origin: string;
  /** PEM of the authority that its certificate is from. */
  readonly ca: string;
  /** Every request so far, in order. */
  readonly requests: readonly UpstreamRequest[];
  /** Resolves when there have been so many requests. */
  arrived(count: number): Promise<void>;
  close(): Promise<void>;
}

const HOST = "api.test";

/** Answers with a length, keeping the connection. */
export function answer(
  socket: TLSSocket,
  status: number,
  body: string | Uint8Array,
  headers: readonly string[] = ["content-type: application/json"],
): void {
  const head = [`HTTP/1.1 ${status} Answer`, `content-length: ${Buffer.byteLength(body)}`, ...headers];
  socket.write(
    Buffer.concat([
      Buffer.from(`${head.join("\r\n")}\r\n\r\n`),
      typeof body === "string" ? Buffer.from(body) : body,
    ]),
  );
}

/** Replies by path; any other path gets 200 and `{"ok":true}`. */
export function startUpstream(replies: Readonly<Record<string, Reply>> = {}): Promise<Upstream> {
  const authority = makeAuthority("upstream authority");
  const requests: UpstreamRequest[] = [];
  const sockets = new Set<TLSSocket>();
  let waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  const server = createServer({ ...issue(authority, { names: [HOST] }) }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
    let received = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      for (let request = readRequest(received); request !== null; request = readRequest(received)) {
        received = received.subarray(request.raw.length);
        requests.push(request);
        const met = waiting.filter(({ count }) => requests.length >= count);
        waiting = waiting.filter(({ count }) => requests.length < count);
        for (const { resolve } of met) resolve();
        const reply = replies[request.target.split("?")[0] ?? ""];
        if (reply === undefined) answer(socket, 200, '{"ok":true}');
        else reply(socket, request);
      }
    });
  });
  server.on("tlsClientError", () => undefined);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") throw new Error("no port");
      resolve({
        host: HOST,
        port: address.port,
        origin: `https://${HOST}:${address.port}`,
        ca: authority.certificate,
        requests,
        arrived: (count) =>
          requests.length >= count
            ? Promise.resolve()
            : new Promise((met) => {
                waiting.push({ count, resolve: met });
              }),
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            for (const socket of sockets) socket.destroy();
          }),
      });
    });
  });
}

function readRequest(bytes: Buffer): UpstreamRequest | null {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const [first = "", ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
  const [method = "", target = ""] = first.split(" ");
  const headers = lines.map((line): readonly [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
  const length = Number(headers.find(([name]) => name.toLowerCase() === "content-length")?.[1] ?? 0);
  const start = end + 4;
  if (bytes.length < start + length) return null;
  const raw = Buffer.from(bytes.subarray(0, start + length));
  return { method, target, headers, body: raw.subarray(start), raw };
}

/** One `[[egress.local]]` entry; the authority is a file beside the configuration, see {@link withUpstream}. */
export function localEgress(action: string, port: number, methods: readonly string[], ca = CA_FILE): string {
  return `[[egress.local]]
action = "${action}"
methods = ${JSON.stringify(methods)}
path_prefix = "/"
host = "${HOST}"
address = "127.0.0.1"
port = ${port}
ca_file = "${ca}"
`;
}

const CA_FILE = "upstream-ca.pem";
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** A gate's set-up that opens the upstream for these actions, without the limits on load that tests would run into. */
export function withUpstream(
  upstream: Upstream,
  actions: readonly string[],
  setup: GateSetup = {},
): GateSetup {
  const entries = actions.map((action) => localEgress(action, upstream.port, METHODS));
  return {
    ...setup,
    config: [UNHURRIED, setup.config ?? "", ...entries].join("\n"),
    files: { ...setup.files, [`.latchgate/${CA_FILE}`]: upstream.ca },
  };
}

/** Rates that no test reaches. */
export const UNHURRIED = `[rate_limits]
peer_rps = 100000
lease_rps = 100000
execute_rps_per_session = 100000
operator_write_rps = 100000
operator_read_rps = 100000
`;

/** Asks again until the answer will do; fails after so many tries. For what only shows by asking. */
export async function until<T>(
  ask: () => Promise<T> | T,
  enough: (answer: T) => boolean,
  tries = 2000,
): Promise<T> {
  for (let left = tries; left > 0; left--) {
    const answer = await ask();
    if (enough(answer)) return answer;
    await new Promise((next) => setImmediate(next));
  }
  throw new Error(`the condition was not met in ${tries} tries`);
}
