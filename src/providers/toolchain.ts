import { accessSync, constants, statSync } from "node:fs";
import { delimiter, isAbsolute, join, resolve } from "node:path";
import { ProviderError } from "./errors.ts";

/** A program that makes a component of a script. */
export interface Toolchain {
  readonly path: string;
  readonly kind: ToolchainKind;
}

type ToolchainKind = "componentize-qjs" | "jco";
const KINDS: readonly ToolchainKind[] = ["componentize-qjs", "jco"];

export interface ToolchainSearch {
  /** What the operator named; null looks on the path. */
  readonly named: string | null;
  readonly path: string;
  readonly cwd: string;
}

/**
 * The program that was named, else the first on the path. Relative entries of the path are passed over, and so is
 * `node_modules` of any folder: a program from the current folder runs only when somebody names it. Throws
 * `toolchain_missing`.
 */
export function findToolchain({ named, path, cwd }: ToolchainSearch): Toolchain {
  if (named !== null) {
    const at = resolve(cwd, named);
    const kind = KINDS.find((name) => at.endsWith(`/${name}`));
    if (kind === undefined || !isProgram(at))
      throw new ProviderError("toolchain_missing", `${at} is not componentize-qjs or jco`, { hint: INSTALL });
    return { path: at, kind };
  }
  for (const folder of path.split(delimiter)) {
    if (!isAbsolute(folder)) continue;
    for (const kind of KINDS) if (isProgram(join(folder, kind))) return { path: join(folder, kind), kind };
  }
  throw new ProviderError("toolchain_missing", "neither componentize-qjs nor jco is on the path", {
    hint: INSTALL,
  });
}

const INSTALL =
  "npm install -g componentize-qjs@0.4.5, or name one with --toolchain, as in --toolchain node_modules/.bin/componentize-qjs";

/** Its arguments: no WASI, no asynchronous functions. */
export function componentizeArguments(
  kind: ToolchainKind,
  files: { readonly script: string; readonly wit: string; readonly out: string },
): readonly string[] {
  const { script, wit, out } = files;
  if (kind === "componentize-qjs")
    return ["--wit", wit, "--js", script, "--world", "provider", "--sync", "--stub-wasi", "--output", out];
  const qjs = ["--backend", "qjs", "--backend-qjs-disable-async", "--backend-qjs-stub-wasi"];
  return ["componentize", script, "--wit", wit, "--world-name", "provider", ...qjs, "--out", out];
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false; // not there, or not to be run
  }
}
