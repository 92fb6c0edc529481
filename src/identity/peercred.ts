import { dlopen, ptr } from "bun:ffi";
import type { Socket } from "node:net";
import { LatchGateError } from "../core/errors.ts";

/** Who connected, as the kernel recorded it at connect(2). */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Reads the credentials of an accepted Unix socket. Throws {@link PeerCredentialsError}; never guesses. */
export type PeerReader = (socket: Socket) => PeerCredentials;

export class PeerCredentialsError extends LatchGateError {
  constructor(message: string, cause?: unknown) {
    super("peer_credentials_unavailable", message, cause === undefined ? {} : { cause });
  }
}

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
/** struct ucred: pid, uid, gid, 32 bits each. */
const UCRED_BYTES = 12;
/** (uid_t) -1: the socket has no peer, or is not a Unix socket. */
const NO_UID = 0xffff_ffff;

/** Binds getsockopt(SO_PEERCRED). Throws at once where it cannot be had, so that a gate without it does not start. */
export function openPeerReader(): PeerReader {
  const getsockopt = bindGetsockopt();
  return (socket) => {
    const fd = descriptor(socket);
    const credentials = new DataView(new ArrayBuffer(UCRED_BYTES));
    const length = new Uint32Array([UCRED_BYTES]);
    const failed = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ptr(credentials), ptr(length));
    if (failed !== 0 || length[0] !== UCRED_BYTES)
      throw new PeerCredentialsError("the kernel gave no peer credentials for a connection");
    const uid = credentials.getUint32(4, true);
    const gid = credentials.getUint32(8, true);
    if (uid === NO_UID || gid === NO_UID)
      throw new PeerCredentialsError("the connection has no peer credentials");
    return { pid: credentials.getInt32(0, true), uid, gid };
  };
}

function bindGetsockopt() {
  try {
    return dlopen("libc.so.6", {
      getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
    }).symbols.getsockopt;
  } catch (cause) {
    throw new PeerCredentialsError("getsockopt cannot be called: libc.so.6 was not found", cause);
  }
}

/** net.Socket keeps its descriptor in an undocumented member, so its shape is checked, not assumed. */
function descriptor(socket: Socket): number {
  // The cast only opens the member to inspection; every use below is checked at run time.
  const handle = (socket as unknown as { readonly _handle?: { readonly fd?: unknown } | null })._handle;
  const fd = handle?.fd;
  if (typeof fd !== "number" || !Number.isInteger(fd) || fd < 0)
    throw new PeerCredentialsError("a connection has no descriptor to ask for its peer");
  return fd;
}
