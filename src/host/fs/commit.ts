import { type BigIntStats, fchmodSync, fchownSync, fstatSync } from "node:fs";
import type { RandomSource } from "../../core/ids.ts";
import { HostFailure } from "../failure.ts";
import { type Descriptor, errnoFailure, openBeneath, opened } from "./beneath.ts";
import { type FileIo, writeContents } from "./contents.ts";
import { ERRNO, type Kernel, O, RENAME } from "./kernel.ts";

export interface CommitDeps {
  readonly kernel: Kernel;
  readonly io: FileIo;
  readonly random: RandomSource;
}

/** New content under a temporary name in the folder where it belongs, durable and complete. */
export interface Staged {
  readonly name: string;
  readonly stat: BigIntStats;
}

/**
 * Writes new content beside its target. The file takes mode and owner of the one that it will replace (set-id bits
 * aside), or what the umask gives. When it throws, nothing is left behind.
 */
export async function stage(
  deps: CommitDeps,
  folder: Descriptor,
  content: Uint8Array,
  like: BigIntStats | null,
  signal: AbortSignal,
): Promise<Staged> {
  const name = temporaryName(deps.random);
  const flags = O.WRITE | O.CREATE | O.EXCLUSIVE | O.NOFOLLOW | O.CLOEXEC;
  using file = opened(deps.kernel.openat(folder.fd, name, flags, like === null ? 0o666 : 0o600));
  try {
    if (like !== null) dress(file, like);
    await writeContents(deps.io, file.fd, content, signal);
    return { name, stat: fstatSync(file.fd, { bigint: true }) };
  } catch (thrown) {
    discard(deps.kernel, folder, name);
    throw thrown;
  }
}

/** Removes staged content that will not be used. The failure that led here is the one worth telling. */
export function discard(kernel: Kernel, folder: Descriptor, name: string): void {
  kernel.unlinkat(folder.fd, name);
}

/** Gives staged content its name. Throws `already_exists` when anything bears it, and then nothing has changed. */
export function placeNew(kernel: Kernel, folder: Descriptor, staged: Staged, name: string): void {
  const result = kernel.renameat2(folder.fd, staged.name, folder.fd, name, RENAME.NOREPLACE);
  if (result < 0) throw errnoFailure(-result);
}

/**
 * Puts staged content in the place of the file that was read. Both names are exchanged in one step and what came out
 * is looked at: when another file had slipped in, the exchange is undone and the call is a `conflict`. A plain rename
 * would have destroyed that file unseen.
 */
export function placeOver(
  kernel: Kernel,
  folder: Descriptor,
  staged: Staged,
  name: string,
  expected: BigIntStats,
): void {
  const result = kernel.renameat2(folder.fd, staged.name, folder.fd, name, RENAME.EXCHANGE);
  if (result === -ERRNO.ENOENT) throw conflict();
  if (result < 0) throw errnoFailure(-result);
  if (!bears(kernel, folder, staged.name, expected)) {
    putBack(kernel.renameat2(folder.fd, staged.name, folder.fd, name, RENAME.EXCHANGE));
    throw conflict();
  }
  const removed = kernel.unlinkat(folder.fd, staged.name);
  if (removed < 0) throw new Unsettled(-removed);
}

/** Removes the file that was read and no other: it is moved aside first, and moved back when it is another. */
export function removeExactly(
  deps: CommitDeps,
  folder: Descriptor,
  name: string,
  expected: BigIntStats,
): void {
  const { kernel } = deps;
  const aside = temporaryName(deps.random);
  const result = kernel.renameat2(folder.fd, name, folder.fd, aside, RENAME.NOREPLACE);
  if (result === -ERRNO.ENOENT) throw conflict();
  if (result < 0) throw errnoFailure(-result);
  if (!bears(kernel, folder, aside, expected)) {
    putBack(kernel.renameat2(folder.fd, aside, folder.fd, name, RENAME.NOREPLACE));
    throw conflict();
  }
  const removed = kernel.unlinkat(folder.fd, aside);
  if (removed < 0) throw new Unsettled(-removed);
}

/** A change that was begun and could neither be finished nor undone. */
export class Unsettled extends HostFailure {
  constructor(errno: number) {
    super("io_error", `change could not be settled, errno ${errno}`);
  }
}

/** Whether a name stands for the very file of an earlier look, unchanged since. */
function bears(kernel: Kernel, folder: Descriptor, name: string, expected: BigIntStats): boolean {
  try {
    using found = openBeneath(kernel, folder, name, O.PATH);
    const stat = fstatSync(found.fd, { bigint: true });
    return (
      stat.dev === expected.dev &&
      stat.ino === expected.ino &&
      stat.nlink === 1n &&
      stat.size === expected.size &&
      stat.mtimeNs === expected.mtimeNs
    );
  } catch (thrown) {
    if (thrown instanceof HostFailure) return false;
    throw thrown;
  }
}

function putBack(result: number): void {
  if (result < 0) throw new Unsettled(-result);
}

/** Owner before mode, as a change of owner clears bits of the mode. Throws when the owner cannot be kept. */
function dress(file: Descriptor, like: BigIntStats): void {
  const own = fstatSync(file.fd, { bigint: true });
  if (own.uid !== like.uid || own.gid !== like.gid) fchownSync(file.fd, Number(like.uid), Number(like.gid));
  fchmodSync(file.fd, Number(like.mode & 0o777n));
}

function conflict(): HostFailure {
  return new HostFailure("conflict", "file changed since it was read");
}

function temporaryName(random: RandomSource): string {
  const bytes = new Uint8Array(8);
  random(bytes);
  return `.latchgate-${Buffer.from(bytes).toString("hex")}.tmp`;
}
