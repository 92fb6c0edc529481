import { fstatSync } from "node:fs";
import { isAbsolute } from "node:path";
import { HostFailure, HostSetupError } from "../failure.ts";
import { canonicalPath, type Descriptor, opened } from "./beneath.ts";
import { AT_FDCWD, type Kernel, O } from "./kernel.ts";

/** Folders whose whole content is the machine's: a root there would be no boundary. */
const SYSTEM = new Set(
  "/ /bin /boot /etc /home /lib /lib64 /media /mnt /opt /root /run /sbin /srv /tmp /usr /var".split(" "),
);
const KERNEL_TREES = ["/dev", "/proc", "/sys"];

/** One folder that plans may name as their root, held open from start to end. */
export interface Root {
  /** Absolute and canonical. */
  readonly path: string;
  readonly folder: Descriptor;
}

/** The root folders of a gate. Throws {@link HostSetupError} for one that cannot be a boundary. */
export class Roots {
  private readonly roots: ReadonlyMap<string, Root>;

  constructor(kernel: Kernel, paths: readonly string[]) {
    using opened = new DisposableStack();
    const roots = new Map<string, Root>();
    for (const path of paths) {
      const root = openRoot(kernel, path);
      opened.use(root.folder);
      roots.set(path, root);
    }
    this.roots = roots;
    opened.move();
  }

  /**
   * The open root that a plan names. Refused when it is none of the gate's, and when its folder has been moved or
   * replaced: the path that an approver reads would not be where the effect happens.
   */
  get(path: string): Root {
    const root = this.roots.get(path);
    if (root === undefined) throw new HostFailure("path_not_allowed", "root is none of the gate's");
    if (canonicalPath(root.folder) !== path) throw new HostFailure("path_not_found", "root has been moved");
    return root;
  }

  close(): void {
    for (const root of this.roots.values()) root.folder[Symbol.dispose]();
  }
}

function openRoot(kernel: Kernel, path: string): Root {
  if (!isAbsolute(path)) throw new HostSetupError("a file root must be an absolute path");
  const tree = KERNEL_TREES.some((top) => path === top || path.startsWith(`${top}/`));
  if (SYSTEM.has(path) || tree)
    throw new HostSetupError("a file root cannot be a system folder", { hint: "name a folder inside of it" });
  const folder = openFolder(kernel, path);
  if (canonicalPath(folder) === path && fstatSync(folder.fd).isDirectory()) return { path, folder };
  folder[Symbol.dispose]();
  throw new HostSetupError("a file root must be written as its real path", {
    hint: "no symbolic links, no . or .. segments, no slash at the end",
  });
}

function openFolder(kernel: Kernel, path: string): Descriptor {
  try {
    return opened(kernel.openat(AT_FDCWD, path, O.PATH | O.DIRECTORY | O.CLOEXEC, 0));
  } catch (cause) {
    throw new HostSetupError("a file root cannot be opened; it must be an existing folder", { cause });
  }
}
