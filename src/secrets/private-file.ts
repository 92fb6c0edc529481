import { constants } from "node:fs";
import { type FileHandle, lstat, open } from "node:fs/promises";
import { sha256Hex } from "../core/bytes.ts";
import { unavailable } from "./errors.ts";

/** Longest secrets file, and identity file, in bytes. */
export const LONGEST_FILE = 1_048_576;

export interface FileState {
  /** Device, inode, size and times of last change: what tells that a file may hold something else now. */
  readonly stamp: string;
  readonly digest: string;
  readonly bytes: Buffer;
}

/**
 * Reads a file whole, without ever waiting for a writer, and says which version of it this is. Who could write it
 * could put values of their own into it, so it must belong to this account or to root, and to nobody else to write;
 * `secret` demands that nobody else can read it either. Throws `secrets_unavailable`.
 */
export async function readGuarded(path: string, what: string, secret: boolean): Promise<FileState> {
  const file = await openFile(path, what);
  try {
    const stat = await file.stat({ bigint: true });
    if (!stat.isFile()) throw unavailable(`${what} ${path} is not a regular file`);
    if (stat.uid !== BigInt(process.getuid?.() ?? -1) && stat.uid !== 0n)
      throw unavailable(`${what} ${path} belongs to another account`);
    const forbidden = secret ? 0o077n : 0o022n;
    if ((stat.mode & forbidden) !== 0n)
      throw unavailable(
        `${what} ${path} can be ${secret ? "read or " : ""}written by others`,
        `chmod 600 ${path}${secret ? ", and replace the identity if others may have read it" : ""}`,
      );
    if (stat.size > BigInt(LONGEST_FILE))
      throw unavailable(`${what} ${path} is longer than ${LONGEST_FILE} bytes`);
    const buffer = Buffer.alloc(Number(stat.size));
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    const bytes = buffer.subarray(0, length);
    return { stamp: stampOf(stat), digest: sha256Hex(bytes), bytes };
  } finally {
    await file.close();
  }
}

/** The stamp that {@link readGuarded} would give now; null when there is no file. */
export async function stampAt(path: string): Promise<string | null> {
  try {
    return stampOf(await lstat(path, { bigint: true }));
  } catch {
    return null; // reading it says why
  }
}

async function openFile(path: string, what: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT")
      throw unavailable(
        `there is no ${what.replace(/^the /, "")} ${path}`,
        "latchgate secrets init makes one",
      );
    throw unavailable(`cannot open ${what} ${path} (${code ?? "unknown error"})`);
  }
}

interface Stamped {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

function stampOf({ dev, ino, size, mtimeNs, ctimeNs }: Stamped): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(":");
}
