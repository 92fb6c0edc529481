import { compileGlob, type Glob, GlobError } from "../../core/glob.ts";
import type { FsPlan } from "../../core/plan.ts";
import { HostFailure } from "../failure.ts";

const MOST_GLOBS = 4096;

/** The globs of plans, compiled once per text. */
export class Permissions {
  private readonly denied = new Map<string, Glob | GlobError>();
  private readonly allowed = new Map<string, Glob | GlobError>();

  /**
   * Throws {@link HostFailure} `path_denied` when a deny pattern covers the path in any spelling of its letters, and
   * `path_not_allowed` when no allow pattern covers it. A pattern that cannot be read denies.
   */
  check(plan: FsPlan, path: string): void {
    for (const pattern of plan.deny) {
      const glob = compiled(this.denied, pattern, true);
      if (glob instanceof GlobError || glob.matches(path))
        throw new HostFailure("path_denied", "path is denied by the action");
    }
    for (const pattern of plan.allow) {
      const glob = compiled(this.allowed, pattern, false);
      if (!(glob instanceof GlobError) && glob.matches(path)) return;
    }
    throw new HostFailure("path_not_allowed", "path is outside of what the action allows");
  }
}

function compiled(
  globs: Map<string, Glob | GlobError>,
  pattern: string,
  ignoreCase: boolean,
): Glob | GlobError {
  const known = globs.get(pattern);
  if (known !== undefined) return known;
  if (globs.size >= MOST_GLOBS) globs.clear();
  const glob = compileGlob(pattern, { ignoreCase });
  globs.set(pattern, glob);
  return glob;
}
