import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { messageOf } from "../core/errors.ts";
import { type Checkpoint, checkpointOrigin, parseCheckpoint } from "./checkpoint.ts";
import { LedgerError } from "./errors.ts";

/** What is read from the end of a mirror: far more than one checkpoint with all its signatures. */
const TAIL_BYTES = 262_144;
/** One checkpoint as it is appended: the note, and an empty line that shows it to be whole. */
const RECORD = /^\S[^\n]*\n\d+\n[A-Za-z0-9+/=]+\n\n(?:— [^\n]+\n)+(?=\n)/gm;

/** What the log must extend. */
interface Pin {
  readonly path: string;
  readonly checkpoint: Checkpoint;
}

/**
 * Files outside of the data folder that every checkpoint is appended to, and synced. A ledger that does not extend
 * the last checkpoint of each was rolled back or exchanged, and the gate does not start on it.
 */
export class Mirrors {
  private readonly files: { readonly path: string; readonly fd: number }[] = [];
  private readonly pins: Pin[] = [];

  /** Opens every file, creating it when there is none. Throws `ledger_mirror_failed`. */
  constructor(paths: readonly string[]) {
    for (const path of paths) this.open(path);
  }

  private open(path: string): void {
    try {
      const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;
      const fd = openSync(path, flags, 0o600);
      this.files.push({ path, fd });
      if (!fstatSync(fd).isFile()) throw new Error("it is not a regular file");
      syncFolder(path);
      const text = readTail(fd);
      if (text === "") return;
      const note = [...text.matchAll(RECORD)].at(-1)?.[0];
      const checkpoint = note === undefined ? undefined : parseCheckpoint(note)?.checkpoint;
      if (checkpoint === undefined) throw new Error("it is not empty, and holds no whole checkpoint");
      this.pins.push({ path, checkpoint });
      // A crash may have left half a record: what comes now must not be read as its end.
      if (!text.endsWith("\n\n")) append(fd, "\n\n");
    } catch (cause) {
      this.close();
      throw failed(path, cause);
    }
  }

  /** Before a log is made where none is. Throws `ledger_rolled_back` when a mirror has seen one. */
  checkEmpty(): void {
    const [pin] = this.pins;
    if (pin !== undefined) throw rolledBack(pin, "there is no log");
  }

  /**
   * The log must extend the last checkpoint of each mirror.
   * @param root of the first n entries, recomputed
   */
  check(log: string, size: number, root: (size: number) => Buffer): void {
    for (const pin of this.pins) {
      const { checkpoint } = pin;
      if (checkpoint.origin !== checkpointOrigin(log)) throw rolledBack(pin, "this is another log");
      if (checkpoint.size > size) throw rolledBack(pin, `this log has ${size}`);
      if (!root(checkpoint.size).equals(checkpoint.root)) throw rolledBack(pin, "this log has others");
    }
  }

  /** Appends a checkpoint to every file and syncs it. Throws `ledger_mirror_failed`. */
  append(note: string): void {
    for (const { path, fd } of this.files)
      try {
        append(fd, `${note}\n`);
        fsyncSync(fd);
      } catch (cause) {
        throw failed(path, cause);
      }
  }

  close(): void {
    for (const { fd } of this.files.splice(0)) closeSync(fd);
  }
}

function append(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

function readTail(fd: number): string {
  const { size } = fstatSync(fd);
  const bytes = Buffer.alloc(Math.min(size, TAIL_BYTES));
  let read = 0;
  while (read < bytes.length) {
    const got = readSync(fd, bytes, read, bytes.length - read, size - bytes.length + read);
    if (got === 0) throw new Error("it became shorter while it was read");
    read += got;
  }
  return bytes.toString("utf8");
}

/** A new name is durable once its folder is synced. */
function syncFolder(path: string): void {
  const folder = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function failed(path: string, cause: unknown): LedgerError {
  return new LedgerError("ledger_mirror_failed", `the mirror ${path} cannot be used: ${messageOf(cause)}`, {
    hint: "give each log mirrors of its own that the gate can write, or take it out of [[evidence.mirrors]]",
    cause,
  });
}

function rolledBack({ path, checkpoint }: Pin, found: string): LedgerError {
  return new LedgerError(
    "ledger_rolled_back",
    `the mirror ${path} has seen ${checkpoint.size} entries of ${checkpoint.origin}; ${found}`,
    {
      hint: "an older copy was restored, or the ledger was exchanged: bring back the newest one; calls since then may have run",
    },
  );
}
