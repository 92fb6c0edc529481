import { closeSync, fstatSync, readlinkSync } from "node:fs";
import type { HostErrorCode } from "../../core/effect.ts";
import { HostFailure } from "../failure.ts";
import { AT_FDCWD, ERRNO, type Kernel, O, RESOLVE } from "./kernel.ts";

const STRICT = RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS | RESOLVE.NO_MAGICLINKS | RESOLVE.NO_XDEV;
const MOST_RETRIES = 16;

/** An open file or folder, closed at the end of the `using` that holds it. */
export class Descriptor implements Disposable {
  readonly fd: number;

  constructor(fd: number) {
    this.fd = fd;
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}

/**
 * Opens a path beneath an open folder: no symbolic link anywhere, no step out, no other file system. Where the kernel
 * has no openat2, or a container's filter hides it, each segment is opened by hand with the same rules.
 * `path` has been through `checkPath`, or is `.`. Throws {@link HostFailure}.
 */
export function openBeneath(kernel: Kernel, folder: Descriptor, path: string, flags: number): Descriptor {
  // For a folder the kernel's own rule tells a link from a file; O_NOFOLLOW would hide it as "not a folder".
  const wanted = flags | O.CLOEXEC | ((flags & O.DIRECTORY) === 0 ? O.NOFOLLOW : 0);
  let result = 0;
  // EAGAIN: a rename somewhere on the way kept the kernel from being sure. An attacker can keep that up.
  for (let attempt = 0; attempt < MOST_RETRIES; attempt++) {
    result = kernel.openat2(folder.fd, path, wanted, 0, STRICT);
    if (result !== -ERRNO.EAGAIN) break;
  }
  if (result === -ERRNO.ENOSYS || result === -ERRNO.EPERM) return walk(kernel, folder, path, flags);
  return opened(result);
}

/** Names a regular file that has one name only, without opening it: a FIFO or a device is never woken. */
export function openLeaf(kernel: Kernel, folder: Descriptor, name: string): Descriptor {
  const leaf = openBeneath(kernel, folder, name, O.PATH);
  try {
    const stat = fstatSync(leaf.fd);
    if (stat.isSymbolicLink()) throw new HostFailure("symlink_escape", "path is a symbolic link");
    if (!stat.isFile()) throw new HostFailure("special_file", "not a regular file");
    // Another name may lie outside of the root, or beneath a pattern that denies it.
    if (stat.nlink !== 1) throw new HostFailure("special_file", "file has more than one name");
    return leaf;
  } catch (thrown) {
    leaf[Symbol.dispose]();
    throw thrown;
  }
}

/** Opens the very file that a path descriptor names; no name is looked up again. */
export function reopen(kernel: Kernel, named: Descriptor, flags: number): Descriptor {
  const wanted = flags | O.CLOEXEC | O.NONBLOCK | O.NOCTTY;
  return opened(kernel.openat(AT_FDCWD, `/proc/self/fd/${named.fd}`, wanted, 0));
}

/** The path of an open file or folder as the kernel knows it. */
export function canonicalPath(descriptor: Descriptor): string {
  const bytes = readlinkSync(`/proc/self/fd/${descriptor.fd}`, { encoding: "buffer" });
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new HostFailure("path_invalid", "path is not utf-8", { cause });
  }
}

/** The failure that an errno stands for. */
export function errnoFailure(errno: number): HostFailure {
  return new HostFailure(CODES[errno] ?? "io_error", `system call failed with errno ${errno}`);
}

const CODES: Readonly<Record<number, HostErrorCode>> = {
  [ERRNO.ENOENT]: "path_not_found",
  [ERRNO.ENOTDIR]: "path_not_found",
  [ERRNO.EEXIST]: "already_exists",
  [ERRNO.ENAMETOOLONG]: "path_invalid",
  [ERRNO.ELOOP]: "symlink_escape",
  [ERRNO.EXDEV]: "symlink_escape",
};

/** Takes the result of an opening system call. */
export function opened(result: number): Descriptor {
  if (result < 0) throw errnoFailure(-result);
  return new Descriptor(result);
}

function walk(kernel: Kernel, start: Descriptor, path: string, flags: number): Descriptor {
  const device = fstatSync(start.fd, { bigint: true }).dev;
  const segments = path.split("/");
  using steps = new DisposableStack();
  let at = start;
  for (const [i, segment] of segments.entries()) {
    const last = i === segments.length - 1;
    const step = opened(kernel.openat(at.fd, segment, O.PATH | O.NOFOLLOW | O.CLOEXEC, 0));
    steps.use(step);
    const stat = fstatSync(step.fd, { bigint: true });
    if (stat.isSymbolicLink()) throw new HostFailure("symlink_escape", "path has a symbolic link");
    if (stat.dev !== device) throw new HostFailure("symlink_escape", "path leaves the file system");
    if (!last && !stat.isDirectory()) throw new HostFailure("path_not_found", "path has no such folder");
    at = step;
  }
  // Opened again through itself, so that nothing can be swapped in between.
  return opened(kernel.openat(AT_FDCWD, `/proc/self/fd/${at.fd}`, flags | O.CLOEXEC, 0));
}
