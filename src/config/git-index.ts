import { lstatSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";

/** Names of these modes are what an index may hold: file, executable, symlink, submodule, sparse folder. */
const MODES: ReadonlySet<number> = new Set([0o100644, 0o100755, 0o100664, 0o120000, 0o160000, 0o040000]);
const ENTRY_MODE_AT = 24;
const STAT_BYTES = 40;
const EXTENDED = 0x4000;
const NAME_LENGTH = 0x0fff;

interface IndexContent {
  readonly names: readonly Buffer[];
  /** Hex id of the shared index that a split index builds on; null without one. */
  readonly base: string | null;
}

/**
 * Why a folder counts as tracked by git, or null when it does not: it is a repository of its own, or the index of a
 * repository around it names the folder or a file inside. An index that cannot be read counts as tracking it.
 *
 * The index is read here and `git` is never run: a repository's own configuration can make git run programs.
 * The folder, and every `.git` around it, may have been planted by an attacker.
 */
export function trackedByGit(folder: string): string | null {
  const target = resolve(folder);
  if (exists(join(target, ".git"))) return "it is a git repository of its own";
  for (let root = dirname(target); ; root = dirname(root)) {
    const reason = trackedIn(root, target);
    if (reason !== null) return reason;
    if (dirname(root) === root) return null;
  }
}

function trackedIn(root: string, target: string): string | null {
  const dotGit = join(root, ".git");
  if (!exists(dotGit)) return null;
  const name = Buffer.from(relative(root, target).split(sep).join("/"));
  try {
    const gitDir = gitDirOf(dotGit);
    let file: string | null = join(gitDir, "index");
    while (file !== null) {
      if (!exists(file)) return null;
      const bytes = readFileSync(file);
      if (cannotName(bytes, name, gitDir)) return null;
      const index: IndexContent = readIndex(bytes);
      if (index.names.some((entry) => isOrIsUnder(entry, name))) return `git tracks it in ${root}`;
      file = index.base === null ? null : join(gitDir, `sharedindex.${index.base}`);
    }
    return null;
  } catch (cause) {
    return `the git index of ${root} cannot be read (${cause instanceof Error ? cause.message : String(cause)})`;
  }
}

/**
 * Spares the reading of a large index: versions 2 and 3 store every name in full, so a name that occurs nowhere in
 * the bytes is not in them. Not when parts of the index may be in another file.
 */
function cannotName(bytes: Buffer, name: Buffer, gitDir: string): boolean {
  if (bytes.length < 8 || bytes.toString("latin1", 0, 4) !== "DIRC") return false;
  if (bytes.readUInt32BE(4) > 3 || bytes.includes(name)) return false;
  return !readdirSync(gitDir).some((file) => file.startsWith("sharedindex."));
}

function exists(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch (cause) {
    if (
      (cause as NodeJS.ErrnoException).code === "ENOENT" ||
      (cause as NodeJS.ErrnoException).code === "ENOTDIR"
    )
      return false;
    throw cause;
  }
}

/** `.git` is a folder, or in worktrees and submodules a file that names one. */
function gitDirOf(dotGit: string): string {
  if (statSync(dotGit).isDirectory()) return dotGit;
  const match = /^gitdir: (.+?)\r?\n?$/.exec(readFileSync(dotGit, "utf8"));
  if (match?.[1] === undefined) throw new Error(".git is neither a folder nor a gitdir file");
  return resolve(dirname(dotGit), match[1]);
}

function isOrIsUnder(entry: Buffer, name: Buffer): boolean {
  if (!entry.subarray(0, name.length).equals(name)) return false;
  return entry.length === name.length || entry[name.length] === 0x2f;
}

/**
 * Names in a git index of version 2 to 4 (gitformat-index(5)). The object format is not recorded in the file, so
 * SHA-1 is tried before SHA-256; each wrong guess fails on the first entry. Throws on anything else.
 */
export function readIndex(bytes: Buffer): IndexContent {
  if (bytes.length < 12 || bytes.toString("latin1", 0, 4) !== "DIRC") throw new Error("not a git index");
  const version = bytes.readUInt32BE(4);
  if (version < 2 || version > 4) throw new Error(`git index version ${version} is not known`);
  try {
    return readWith(bytes, version, 20);
  } catch {
    return readWith(bytes, version, 32);
  }
}

function readWith(bytes: Buffer, version: number, hashBytes: number): IndexContent {
  const end = bytes.length - hashBytes;
  const names: Buffer[] = [];
  let at = 12;
  let previous = Buffer.alloc(0);
  for (let left = bytes.readUInt32BE(8); left > 0; left--) {
    const start = at;
    if (at + STAT_BYTES + hashBytes + 2 > end) throw new Error("cut off inside an entry");
    if (!MODES.has(bytes.readUInt32BE(at + ENTRY_MODE_AT))) throw new Error("entry with an unknown mode");
    const flags = bytes.readUInt16BE(at + STAT_BYTES + hashBytes);
    at += STAT_BYTES + hashBytes + 2 + ((flags & EXTENDED) !== 0 ? 2 : 0);
    let kept = Buffer.alloc(0);
    if (version === 4) {
      const strip = readOffset(bytes, at);
      at = strip.next;
      if (strip.value > previous.length) throw new Error("entry strips more than there is");
      kept = previous.subarray(0, previous.length - strip.value);
    }
    const stop = bytes.indexOf(0, at);
    if (stop < 0 || stop > end) throw new Error("name without an end");
    const name = Buffer.concat([kept, bytes.subarray(at, stop)]);
    const length = flags & NAME_LENGTH;
    if (length !== NAME_LENGTH && length !== name.length)
      throw new Error("name of another length than stated");
    names.push(name);
    previous = name;
    // Versions 2 and 3 pad with 1 to 8 zero bytes to a multiple of 8.
    at = version === 4 ? stop + 1 : start + ((stop - start + 8) & ~7);
  }
  return { names, base: sharedIndex(bytes, at, end, hashBytes) };
}

/** The variable-width integer of pack offsets: seven bits a byte, each continuation adds one. */
function readOffset(bytes: Buffer, from: number): { value: number; next: number } {
  let at = from;
  let byte = bytes.readUInt8(at++);
  let value = byte & 0x7f;
  while ((byte & 0x80) !== 0) {
    if (at - from > 4) throw new Error("number too long");
    byte = bytes.readUInt8(at++);
    value = (value + 1) * 128 + (byte & 0x7f);
  }
  return { value, next: at };
}

function sharedIndex(bytes: Buffer, from: number, end: number, hashBytes: number): string | null {
  for (let at = from; at < end; ) {
    if (at + 8 > end) throw new Error("cut off inside an extension");
    const size = bytes.readUInt32BE(at + 4);
    if (at + 8 + size > end) throw new Error("cut off inside an extension");
    if (bytes.toString("latin1", at, at + 4) === "link") {
      const id = bytes.subarray(at + 8, at + 8 + hashBytes);
      if (id.length === hashBytes && id.some((byte) => byte !== 0)) return id.toString("hex");
    }
    at += 8 + size;
  }
  return null;
}
