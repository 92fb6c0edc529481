import * as fs from "node:fs";
import { sha256Hex } from "../../core/bytes.ts";
import { HostFailure } from "../failure.ts";

/**
 * Data transfer on open descriptors. It runs on the thread pool: a slow disk or an fsync never holds up the event
 * loop. Only the short metadata calls of {@link Kernel} are synchronous.
 */
export interface FileIo {
  /** Reads at a position; resolves to the number of bytes, 0 at the end. */
  read(fd: number, into: Uint8Array, position: number): Promise<number>;
  /** Writes at a position; resolves to the number of bytes taken. */
  write(fd: number, from: Uint8Array, position: number): Promise<number>;
  /** fsync(2). */
  sync(fd: number): Promise<void>;
}

export const pooledFileIo: FileIo = {
  read: (fd, into, position) =>
    new Promise((resolve, reject) => {
      fs.read(fd, into, 0, into.length, position, (error, count) => (error ? reject(error) : resolve(count)));
    }),
  write: (fd, from, position) =>
    new Promise((resolve, reject) => {
      fs.write(fd, from, 0, from.length, position, (error, count) =>
        error ? reject(error) : resolve(count),
      );
    }),
  sync: (fd) =>
    new Promise((resolve, reject) => {
      fs.fsync(fd, (error) => (error ? reject(error) : resolve()));
    }),
};

const PIECE = 1 << 20;

export interface Contents {
  readonly bytes: Buffer;
  /** Lower-case hex SHA-256. */
  readonly hash: string;
}

/** Reads a whole file; one byte over the cap is enough to refuse it, however it grows meanwhile. */
export async function readContents(
  io: FileIo,
  fd: number,
  cap: number,
  signal: AbortSignal,
): Promise<Contents> {
  const size = fs.fstatSync(fd).size;
  if (size > cap) throw new HostFailure("too_large", "file over the limit");
  const pieces: Buffer[] = [];
  let total = 0;
  for (;;) {
    signal.throwIfAborted();
    // The first piece fits the file and one byte more, so that a small file takes one read.
    const room = Math.min(PIECE, Math.max(size - total, 0) + 1, cap + 1 - total);
    const piece = Buffer.alloc(room);
    const count = await io.read(fd, piece, total);
    if (count === 0) break;
    pieces.push(piece.subarray(0, count));
    total += count;
    if (total > cap) throw new HostFailure("too_large", "file over the limit");
    // A read that ends where the file does, with room left, has seen that end.
    if (total === size && count < room) break;
  }
  const bytes = Buffer.concat(pieces);
  return { bytes, hash: sha256Hex(bytes) };
}

/** Writes everything and makes it durable. */
export async function writeContents(
  io: FileIo,
  fd: number,
  content: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  for (let total = 0; total < content.length; ) {
    signal.throwIfAborted();
    const count = await io.write(fd, content.subarray(total, total + PIECE), total);
    if (count === 0) throw new HostFailure("io_error", "file takes no more bytes");
    total += count;
  }
  signal.throwIfAborted();
  await io.sync(fd);
}
