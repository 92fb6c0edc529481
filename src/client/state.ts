import { randomUUID } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
} from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { writePrivateFile } from "../keys/key-file.ts";
import { ClientError } from "./errors.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The caller's own folder for keys and leases: `$XDG_STATE_HOME/latchgate`, by default `~/.local/state/latchgate`
 * (a relative XDG_STATE_HOME counts as unset, XDG Base Directory Specification). It need not exist.
 */
export function stateDir(env: Environment): string {
  const xdg = env.XDG_STATE_HOME;
  if (xdg !== undefined && isAbsolute(xdg)) return join(xdg, "latchgate");
  const home = env.HOME;
  return join(home !== undefined && isAbsolute(home) ? home : homedir(), ".local", "state", "latchgate");
}

/**
 * Makes the folder with mode 0700 when it is not there, and refuses it when another account owns it or can write in
 * it. Throws {@link ClientError} `state_unsafe`.
 */
export function ensurePrivateDir(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new ClientError("state_unsafe", `the state folder ${dir} cannot be made`, {
      hint: "set XDG_STATE_HOME to a folder that this account can write",
      cause,
    });
  }
  const stat = lstatSync(dir);
  if (!stat.isDirectory()) throw new ClientError("state_unsafe", `${dir} is not a folder`);
  if (stat.uid !== process.getuid?.()) throw new ClientError("state_unsafe", `another account owns ${dir}`);
  if ((stat.mode & 0o022) !== 0)
    throw new ClientError("state_unsafe", `others can write in ${dir}`, { hint: `chmod 700 ${dir}` });
}

/**
 * The text of a file that only its owner may read; null when it is not there. Refuses symlinks, other kinds of file,
 * and files that others can read or own. Throws {@link ClientError} `state_unsafe`.
 */
export function readPrivateText(path: string): string | null {
  let fd: number;
  try {
    // O_NONBLOCK: opening a FIFO that someone left here must not wait for its writer.
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new ClientError("state_unsafe", `cannot open ${path}`, { cause });
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new ClientError("state_unsafe", `${path} is not a regular file`);
    if (stat.uid !== process.getuid?.())
      throw new ClientError("state_unsafe", `another account owns ${path}`);
    if ((stat.mode & 0o077) !== 0)
      throw new ClientError("state_unsafe", `others can read or write ${path}`, {
        hint: `chmod 600 ${path}, and replace what it holds if others may have read it`,
      });
    return readFileSync(fd, "utf8");
  } finally {
    closeSync(fd);
  }
}

/** Puts a private file in place in one step, so that a reader sees the old text or the new one and nothing between. */
export function replacePrivateText(path: string, text: string): void {
  const fresh = `${path}.${randomUUID()}`;
  writePrivateFile(fresh, text);
  try {
    renameSync(fresh, path);
  } catch (cause) {
    unlinkSync(fresh);
    throw cause;
  }
}
