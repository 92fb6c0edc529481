import { compileGlob, type Glob, GlobError } from "../../core/glob.ts";
import type { FsPlan } from "../../core/plan.ts";
import { HostFailure } from "../failure.ts";

const MOST_GLOBS = 4096;

/** The globs of plans, compiled once per text. */
export class Permissions {
  private readonly globs = new Map<string, Glob | GlobError>();

  /**
   * Throws {@link HostFailure} `path_denied` when a deny pattern covers the path in any spelling of its letters, and
   * `path_not_allowed` when no allow pattern covers it. A pattern that cannot be read denies.
   */
  check(plan: FsPlan, path: string): void {
    for (const pattern of plan.deny) {
      const glob = this.glob(pattern, true);
      if (glob instanceof GlobError || glob.matches(path))
        throw new HostFailure("path_denied", "path is denied by the action");
    }
    for (const pattern of plan.allow) {
      const glob = this.glob(pattern, false);
      if (!(glob instanceof GlobError) && glob.matches(path)) return;
    }
    throw new HostFailure("path_not_allowed", "path is outside of what the action allows");
  }

  private glob(pattern: string, ignoreCase: boolean): Glob | GlobError {
    const key = `${ignoreCase ? "i" : "c"}${pattern}`;
    const known = this.globs.get(key);
    if (known !== undefined) return known;
    if (this.globs.size >= MOST_GLOBS) this.globs.clear();
    const glob = compileGlob(pattern, { ignoreCase });
    this.globs.set(key, glob);
    return glob;
  }
}
