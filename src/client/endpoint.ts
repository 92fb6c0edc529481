import { closeSync, constants, openSync } from "node:fs";
import { basename, dirname, isAbsolute } from "node:path";
import { fileURLToPath } from "node:url";
import { ClientError } from "./errors.ts";

/** Where a gate listens. */
export type Endpoint =
  | { readonly kind: "unix"; readonly path: string }
  /** `http://` and a loopback name or address, with its port. */
  | { readonly kind: "loopback"; readonly origin: string };

/** One text per endpoint, to name it in messages and in the cache. */
export function endpointName(endpoint: Endpoint): string {
  return endpoint.kind === "unix" ? `unix:${endpoint.path}` : endpoint.origin;
}

const LOOPBACK = /^http:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?\/?$/i;

/**
 * Reads `LATCHGATE_URL`: an absolute socket path, `unix:///path`, or `http://` on a loopback name. Other hosts are
 * refused, as a lease must not cross a network in the clear. Throws {@link ClientError} `gate_address`.
 */
export function parseEndpoint(text: string): Endpoint {
  if (isAbsolute(text)) return { kind: "unix", path: text };
  if (/^unix:\/\/\//i.test(text)) {
    try {
      return { kind: "unix", path: fileURLToPath(`file${text.slice(4)}`) };
    } catch (cause) {
      throw new ClientError("gate_address", "the path of the unix:// address cannot be read", { cause });
    }
  }
  if (LOOPBACK.test(text) && URL.canParse(text)) return { kind: "loopback", origin: new URL(text).origin };
  throw new ClientError("gate_address", "the gate's address is neither a socket nor on this machine", {
    hint: "use an absolute socket path, unix:///path/to/gate.sock, or http://localhost:PORT",
  });
}

/** What `sun_path` holds, without its closing zero byte; the gate that listens has the same limit. */
const LONGEST_SOCKET_PATH = 107;
/** Not among node's constants; the same on all Linux architectures that Bun runs on. */
const O_PATH = 0x200000;

export interface Dial {
  /** A path short enough for connect(2). */
  readonly path: string;
  close(): void;
}

/** Makes a socket path short enough to connect to, through an open folder when it is not. Close it after use. */
export function dialPath(path: string): Dial {
  if (Buffer.byteLength(path) <= LONGEST_SOCKET_PATH) return { path, close() {} };
  if (process.platform !== "linux")
    throw new ClientError(
      "gate_address",
      `the socket path is longer than ${LONGEST_SOCKET_PATH} bytes: ${path}`,
      {
        hint: "set [listen] client_socket and admin_socket to shorter paths",
      },
    );
  let folder: number;
  try {
    folder = openSync(dirname(path), O_PATH | constants.O_DIRECTORY);
  } catch (cause) {
    throw new ClientError(
      "gate_address",
      `the folder of the gate's socket cannot be opened: ${dirname(path)}`,
      {
        cause,
      },
    );
  }
  const short = `/proc/self/fd/${folder}/${basename(path)}`;
  if (Buffer.byteLength(short) > LONGEST_SOCKET_PATH) {
    closeSync(folder);
    throw new ClientError(
      "gate_address",
      `the socket's file name is too long to connect to: ${basename(path)}`,
      {
        hint: "set [listen] client_socket and admin_socket to shorter names",
      },
    );
  }
  return { path: short, close: () => closeSync(folder) };
}
