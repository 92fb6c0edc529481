import { lstatSync, realpathSync, type Stats, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { LatchGateError } from "../core/errors.ts";
import { trackedByGit } from "./git-index.ts";

export const PROJECT_FOLDER = ".latchgate";

export interface Project {
  /** Absolute path of the project folder, the one that holds `latchgate.toml`. */
  readonly dir: string;
  readonly source: ProjectSource;
}

/** `--dir`, `LATCHGATE_DIR`, or found by walking up. */
export type ProjectSource = "flag" | "environment" | "walk";

/** `project_untrusted` (found, but not to be used), `project_not_found` (named, but not there). */
export class ProjectError extends LatchGateError {}

export interface ProjectSearch {
  readonly cwd: string;
  /** Value of `--dir`. */
  readonly dir?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The caller's account; a parameter for tests. */
  readonly uid?: number;
}

/** The project folder that `--dir` or `LATCHGATE_DIR` names (empty means unset), whether or not it exists. */
export function namedProject(search: ProjectSearch): Project | null {
  if (search.dir !== undefined && search.dir !== "")
    return { dir: resolve(search.cwd, search.dir), source: "flag" };
  const fromEnv = search.env.LATCHGATE_DIR;
  if (fromEnv !== undefined && fromEnv !== "")
    return { dir: resolve(search.cwd, fromEnv), source: "environment" };
  return null;
}

/**
 * The project folder: the named one, else the nearest `.latchgate` from the current directory upwards; null when
 * there is none. Whatever is found is used only if nobody else could have put it there: see {@link assertTrusted}.
 * A found folder that is not trusted is an error and never skipped, so that a planted one cannot hide the real one
 * further up. Throws {@link ProjectError}.
 */
export function findProject(search: ProjectSearch): Project | null {
  const named = namedProject(search);
  if (named !== null) {
    if (statOf(named.dir) === null)
      throw new ProjectError("project_not_found", `there is no project folder ${named.dir}`, {
        hint: "name an existing folder, or create one with latchgate serve",
      });
    assertTrusted(named.dir, search.uid);
    return named;
  }
  for (let at = realpathSync(search.cwd); ; at = dirname(at)) {
    const dir = join(at, PROJECT_FOLDER);
    if (statOf(dir) !== null) {
      assertTrusted(dir, search.uid);
      return { dir, source: "walk" };
    }
    if (dirname(at) === at) return null;
  }
}

/**
 * Refuses a project folder that is a symlink or not a folder, that another account owns or can write or swap, or
 * that git tracks: such a folder came with a clone, or from a neighbour, and gets nothing. Throws {@link ProjectError}.
 */
export function assertTrusted(dir: string, uid: number = currentUid()): void {
  const stat = statOf(dir);
  if (stat === null) throw new ProjectError("project_not_found", `there is no project folder ${dir}`);
  if (stat.isSymbolicLink()) throw untrusted(dir, "it is a symbolic link", "name its target with --dir");
  if (!stat.isDirectory())
    throw untrusted(dir, "it is not a folder", "remove it, or name another with --dir");
  if (stat.uid !== uid)
    throw untrusted(dir, "another account owns it", "name the gate's socket with LATCHGATE_SOCKET instead");
  if ((stat.mode & 0o022) !== 0) throw untrusted(dir, "others can write in it", `chmod 700 ${dir}`);
  const parent = statSync(dirname(dir));
  if ((parent.mode & 0o002) !== 0 && (parent.mode & 0o1000) === 0)
    throw untrusted(dir, "everyone can replace it", `chmod o-w ${dirname(dir)}`);
  const tracked = trackedByGit(dir);
  if (tracked !== null)
    throw untrusted(
      dir,
      tracked,
      "a folder that came with a clone is not yours; create one with latchgate serve",
    );
}

function untrusted(dir: string, reason: string, hint: string): ProjectError {
  return new ProjectError("project_untrusted", `the project folder ${dir} is not used: ${reason}`, { hint });
}

function statOf(path: string): Stats | null {
  try {
    return lstatSync(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    // A folder that cannot even be looked into is not used, so passing it by gives nothing away.
    if (code === "ENOENT" || code === "ENOTDIR" || code === "EACCES") return null;
    throw cause;
  }
}

function currentUid(): number {
  const uid = process.getuid?.();
  if (uid === undefined) throw new ProjectError("project_untrusted", "this platform has no account ids");
  return uid;
}
