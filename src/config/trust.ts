import { realpathSync } from "node:fs";
import { basename, dirname, join, resolve, sep } from "node:path";
import { sha256Hex } from "../core/bytes.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import type { Config } from "./schema.ts";

/** What opens a project's secrets, as its configuration says. */
export type IdentityOrigin =
  | { readonly setting: "secrets.identity_command"; readonly argv: readonly string[] }
  | { readonly setting: "secrets.identity_env"; readonly variable: string }
  | {
      readonly setting: "secrets.identity_file";
      /** Its real path. Where something on the way can't be followed yet, the rest stands as configured. */
      readonly path: string;
      /** Whether that is not below the project folder, wherever the links inside lead. */
      readonly outside: boolean;
    };

/** The identity of a project, whose folder is there. Looks where links lead, and reads nothing. */
export function identityOrigin({ secrets }: Config, dir: string): IdentityOrigin {
  const { identity_command: argv, identity_env: variable, identity_file } = secrets;
  if (argv !== undefined) return { setting: "secrets.identity_command", argv };
  if (variable !== undefined) return { setting: "secrets.identity_env", variable };
  const path = realPathOf(resolve(dir, identity_file));
  return {
    setting: "secrets.identity_file",
    path,
    outside: !path.startsWith(`${realpathSync(dir)}${sep}`),
  };
}

/**
 * Whether an operator must have said that the project may have this. An attacker can make a whole folder: what would
 * run as the operator's account, or open files that were encrypted for the operator, does not follow from the folder.
 */
export function needsTrust(origin: IdentityOrigin): boolean {
  return origin.setting !== "secrets.identity_file" || origin.outside;
}

/**
 * What an operator trusts: exactly this identity, for this project folder (its real path). Taken from the loaded
 * configuration and not from the file, so that nothing can change between the check and the use.
 */
export function trustDigest(dir: string, origin: IdentityOrigin): string {
  return sha256Hex(canonicalJson({ dir, ...shownOrigin(origin) }));
}

/** The record of a project in the user's own folder: a file that holds the digest. */
export function trustRecord(stateFolder: string, dir: string): string {
  return join(stateFolder, "trust", sha256Hex(dir));
}

/** One of a command or an identity, as JSON: `commands` would run, `identities` would be taken from outside. */
export function shownOrigin(origin: IdentityOrigin): {
  readonly commands: { setting: string; argv: string[] }[];
  readonly identities: ({ setting: string; variable: string } | { setting: string; path: string })[];
} {
  const { setting } = origin;
  if (setting === "secrets.identity_command")
    return { commands: [{ setting, argv: [...origin.argv] }], identities: [] };
  if (setting === "secrets.identity_env")
    return { commands: [], identities: [{ setting, variable: origin.variable }] };
  return { commands: [], identities: origin.outside ? [{ setting, path: origin.path }] : [] };
}

/** As far as it can be followed now; who reads the file sees whether it leads elsewhere by then. */
function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(realPathOf(parent), basename(path));
  }
}
