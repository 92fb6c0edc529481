import { dlopen, FFIType, ptr, read } from "bun:ffi";
import { constants } from "node:fs";
import { arch } from "node:os";
import { HostSetupError } from "../failure.ts";

/**
 * The system calls that this boundary stands on and that the runtime does not offer: everything relative to an open
 * folder. Each returns a result of 0 or more, or a negative errno. Names are single segments or relative paths.
 */
export interface Kernel {
  /** openat(2); `folder` may be {@link AT_FDCWD}. */
  openat(folder: number, path: string, flags: number, mode: number): number;
  /** openat2(2). */
  openat2(folder: number, path: string, flags: number, mode: number, resolve: number): number;
  /** renameat2(2). */
  renameat2(fromFolder: number, from: string, toFolder: number, to: string, flags: number): number;
  /** unlinkat(2), for files. */
  unlinkat(folder: number, name: string): number;
}

export const AT_FDCWD = -100;

/** open(2) flags; those that differ between processors come from the runtime. */
export const O = {
  READ: constants.O_RDONLY,
  WRITE: constants.O_WRONLY,
  READ_WRITE: constants.O_RDWR,
  CREATE: constants.O_CREAT,
  EXCLUSIVE: constants.O_EXCL,
  NOCTTY: constants.O_NOCTTY,
  NONBLOCK: constants.O_NONBLOCK,
  DIRECTORY: constants.O_DIRECTORY,
  NOFOLLOW: constants.O_NOFOLLOW,
  CLOEXEC: 0o2000000,
  /** Names a file without opening it: no driver runs, nothing blocks. */
  PATH: 0o10000000,
} as const;

/** openat2(2) RESOLVE_* flags. */
export const RESOLVE = { NO_XDEV: 0x01, NO_MAGICLINKS: 0x02, NO_SYMLINKS: 0x04, BENEATH: 0x08 } as const;

/** renameat2(2) flags. */
export const RENAME = { NOREPLACE: 1, EXCHANGE: 2 } as const;

export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EAGAIN: 11,
  EEXIST: 17,
  EXDEV: 18,
  ENOTDIR: 20,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ELOOP: 40,
} as const;

const NUMBERS: Readonly<Record<string, Readonly<Record<keyof Kernel, number>>>> = {
  x64: { openat: 257, openat2: 437, renameat2: 316, unlinkat: 263 },
  arm64: { openat: 56, openat2: 437, renameat2: 276, unlinkat: 35 },
};

const LIBRARIES = ["libc.so.6", "/lib/ld-musl-x86_64.so.1", "/lib/ld-musl-aarch64.so.1"];

let loaded: Kernel | null = null;

/** The running Linux kernel through libc's syscall(2). Throws {@link HostSetupError} elsewhere. */
export function linuxKernel(): Kernel {
  loaded ??= load();
  return loaded;
}

function load(): Kernel {
  const numbers = NUMBERS[arch()];
  if (numbers === undefined) throw new HostSetupError("the file broker needs linux on x64 or arm64");
  const libc = openLibc();
  const errnoAt = libc.symbols.__errno_location();
  if (errnoAt === null) throw new HostSetupError("libc has no errno");
  const call = (number: number, ...args: readonly (number | bigint)[]): number => {
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = args;
    const result = libc.symbols.syscall(number, a, b, c, d, e, f);
    // errno is read before anything else can run on this thread.
    return result < 0n ? -read.i32(errnoAt) : Number(result);
  };
  // The buffers stay referenced until their call has returned.
  return {
    openat(folder, path, flags, mode) {
      const name = cString(path);
      return call(numbers.openat, folder, ptr(name), flags, mode);
    },
    openat2(folder, path, flags, mode, resolve) {
      const name = cString(path);
      const how = new BigUint64Array([BigInt(flags), BigInt(mode), BigInt(resolve)]);
      return call(numbers.openat2, folder, ptr(name), ptr(how), how.byteLength);
    },
    renameat2(fromFolder, from, toFolder, to, flags) {
      const source = cString(from);
      const target = cString(to);
      return call(numbers.renameat2, fromFolder, ptr(source), toFolder, ptr(target), flags);
    },
    unlinkat(folder, name) {
      const leaf = cString(name);
      return call(numbers.unlinkat, folder, ptr(leaf), 0);
    },
  };
}

function openLibc() {
  const { i64, ptr: pointer } = FFIType;
  for (const library of LIBRARIES) {
    try {
      return dlopen(library, {
        syscall: { args: [i64, i64, i64, i64, i64, i64, i64], returns: i64 },
        __errno_location: { args: [], returns: pointer },
      });
    } catch {
      // Another libc, then; the last one missing is an error.
    }
  }
  throw new HostSetupError("the file broker found no libc");
}

function cString(text: string): Buffer {
  if (text.includes("\0")) throw new TypeError("a path cannot hold a nul character");
  return Buffer.from(`${text}\0`, "utf8");
}
