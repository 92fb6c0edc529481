import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPeerReader, type PeerCredentials } from "../../src/identity/index.ts";

/** What the reader says of one accepted connection, or the code of its error. */
function readAccepted(
  listen: { path: string } | { host: string; port: number },
  act?: (socket: Socket) => void,
) {
  const read = openPeerReader();
  return new Promise<PeerCredentials | string>((resolve) => {
    const server = createServer((socket) => {
      act?.(socket);
      try {
        resolve(read(socket));
      } catch (error) {
        resolve((error as { code: string }).code);
      }
      socket.destroy();
      server.close();
    });
    server.listen(listen, () => {
      const address = server.address();
      const client =
        typeof address === "string" || address === null
          ? connect(listen)
          : connect(address.port, "127.0.0.1");
      client.on("error", () => client.destroy());
      client.on("connect", () => client.end());
    });
  });
}

test("a Unix socket tells who connected", async () => {
  const folder = mkdtempSync(join(tmpdir(), "peer-"));
  expect(await readAccepted({ path: join(folder, "s") })).toEqual({
    pid: process.pid,
    uid: process.getuid?.() ?? -1,
    gid: process.getgid?.() ?? -1,
  });
  rmSync(folder, { recursive: true, force: true });
});

test("a TCP socket tells nobody, and that is an error", async () => {
  expect(await readAccepted({ host: "127.0.0.1", port: 0 })).toBe("peer_credentials_unavailable");
});

test("a socket that is closed already is an error", async () => {
  const folder = mkdtempSync(join(tmpdir(), "peer-"));
  expect(await readAccepted({ path: join(folder, "s") }, (socket) => socket.destroy())).toBe(
    "peer_credentials_unavailable",
  );
  rmSync(folder, { recursive: true, force: true });
});
