import type { RequestListener } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { createServer as createTcpServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import type { Identity } from "../certificates.ts";

/** A server on 127.0.0.1 that stands for an origin of the internet. */
export interface Origin {
  readonly port: number;
  /** Connections accepted so far. */
  readonly connections: () => number;
  /** Resolves when the last connection has ended. */
  close(): Promise<void>;
}

export function startOrigin(identity: Identity, listener: RequestListener): Promise<Origin> {
  return listening(createHttpsServer({ ...identity }, listener));
}

/** A TLS server whose answers are written byte by byte. `onData` gets everything that came so far. */
export function startRawOrigin(
  identity: Identity,
  onData: (socket: Socket, received: string) => void,
): Promise<Origin> {
  return listening(createTlsServer({ ...identity }, (socket) => converse(socket, onData)));
}

/** As {@link startRawOrigin} without TLS: for plain http, and for peers that never finish a handshake. */
export function startPlainOrigin(onData: (socket: Socket, received: string) => void): Promise<Origin> {
  return listening(createTcpServer((socket) => converse(socket, onData)));
}

/** Answers one complete response and keeps the connection. */
export function answer(socket: Socket, body: string, headers: readonly string[] = []): void {
  const head = ["HTTP/1.1 200 OK", `content-length: ${Buffer.byteLength(body)}`, ...headers];
  socket.write(`${head.join("\r\n")}\r\n\r\n${body}`);
}

function converse(socket: Socket, onData: (socket: Socket, received: string) => void): void {
  let received = "";
  socket.on("error", () => undefined);
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
    onData(socket, received);
  });
}

function listening(server: Server): Promise<Origin> {
  const sockets = new Set<Socket>();
  let connections = 0;
  server.on("connection", (socket: Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  });
  // A client that goes away during the handshake is an expected guest here.
  server.on("tlsClientError", () => undefined);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") throw new Error("no port");
      resolve({
        port: address.port,
        connections: () => connections,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            for (const socket of sockets) socket.destroy();
          }),
      });
    });
  });
}
