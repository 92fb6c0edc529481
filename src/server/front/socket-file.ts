import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  type Stats,
  unlinkSync,
} from "node:fs";
import { connect, type Server } from "node:net";
import { dirname, join, resolve } from "node:path";
import { LatchGateError } from "../../core/errors.ts";

export interface SocketPlacement {
  readonly path: string;
  /** Permission bits, such as 0o600. */
  readonly mode: number;
  /** Group of the socket; absent, the gate's own. */
  readonly gid?: number;
}

/** A socket in place, and which one it is. */
export interface SocketFile {
  readonly path: string;
  readonly dev: number;
  readonly ino: number;
}

export class SocketPathError extends LatchGateError {}

/** sun_path holds 108 bytes with its NUL. */
const LONGEST_PATH_BYTES = 107;

/**
 * Makes the server listen at a path. The socket is bound in a private folder beside it, gets mode and group there and
 * is then linked into place: it is never reachable with other permissions, and never replaces anything.
 *
 * Throws {@link SocketPathError}: `socket_path_too_long`, `socket_dir_insecure`, `socket_path_occupied` (something
 * that is not a socket), `socket_in_use` (another process listens there). What nobody listens on is removed first.
 */
export async function publishSocket(server: Server, placement: SocketPlacement): Promise<SocketFile> {
  const path = resolve(placement.path);
  const folder = dirname(path);
  // The private folder's name and the name in it are as long as `.s-xxxxxx/s`.
  if (Buffer.byteLength(path) > LONGEST_PATH_BYTES || Buffer.byteLength(folder) + 12 > LONGEST_PATH_BYTES)
    throw new SocketPathError("socket_path_too_long", `a socket path may have ${LONGEST_PATH_BYTES} bytes`, {
      hint: "choose a shorter folder, for example below /run",
    });
  secureFolder(folder);
  await clearStale(path);
  const cradle = mkdtempSync(join(folder, ".s-"));
  try {
    const bound = join(cradle, "s");
    await listening(server, bound);
    if (placement.gid !== undefined) chownSync(bound, -1, placement.gid);
    chmodSync(bound, placement.mode & 0o777);
    place(bound, path);
    const { dev, ino } = lstatSync(path);
    return { path, dev, ino };
  } catch (error) {
    server.close();
    throw error;
  } finally {
    rmSync(cradle, { recursive: true, force: true });
  }
}

/** Removes the socket unless something else has taken its place. */
export function withdrawSocket(file: SocketFile): void {
  const found = lookAt(file.path);
  if (found !== null && found.dev === file.dev && found.ino === file.ino) unlinkSync(file.path);
}

/** The folder, made 0700 if it is missing; others must not be able to put a socket of theirs where ours is expected. */
function secureFolder(folder: string): void {
  if (lookAt(folder) === null) mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stats = lstatSync(folder);
  if (!stats.isDirectory()) throw insecure("is not a folder");
  const uid = process.geteuid?.();
  if (stats.uid !== uid && stats.uid !== 0) throw insecure("belongs to another account");
  if ((stats.mode & 0o022) !== 0) throw insecure("can be written by others");
}

function insecure(what: string): SocketPathError {
  return new SocketPathError("socket_dir_insecure", `the folder of the socket ${what}`, {
    hint: "use a folder of the gate's own account with mode 0700, or 0755 where other accounts connect",
  });
}

async function clearStale(path: string): Promise<void> {
  const found = lookAt(path);
  if (found === null) return;
  if (!found.isSocket())
    throw new SocketPathError(
      "socket_path_occupied",
      "something that is not a socket is at the socket's path",
      {
        hint: "move it away, or choose another path",
      },
    );
  if (await answers(path)) throw inUse();
  const still = lookAt(path);
  if (still !== null && still.ino === found.ino && still.dev === found.dev) unlinkSync(path);
}

function inUse(): SocketPathError {
  return new SocketPathError("socket_in_use", "another process listens on the socket", {
    hint: "stop the other gate, or choose another path",
  });
}

/** Whether anybody listens. Only a refused connection proves that nobody does. */
function answers(path: string): Promise<boolean> {
  return new Promise((settle) => {
    const probe = connect(path);
    probe.on("connect", () => {
      probe.destroy();
      settle(true);
    });
    probe.on("error", (error: NodeJS.ErrnoException) =>
      settle(error.code !== "ECONNREFUSED" && error.code !== "ENOENT"),
    );
  });
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((settle, fail) => {
    server.once("error", fail);
    server.listen(path, () => {
      server.removeListener("error", fail);
      settle();
    });
  });
}

function place(bound: string, path: string): void {
  try {
    linkSync(bound, path);
  } catch (error) {
    if (isErrno(error) && error.code === "EEXIST") throw inUse();
    throw error;
  }
}

function lookAt(path: string): Stats | null {
  return lstatSync(path, { throwIfNoEntry: false }) ?? null;
}

function isErrno(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error;
}
