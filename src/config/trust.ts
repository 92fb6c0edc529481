import { join } from "node:path";
import { sha256Hex } from "../core/bytes.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import type { Config } from "./schema.ts";

/** A program that configuration wants to run, and why. */
export interface ConfiguredCommand {
  readonly setting: string;
  readonly argv: readonly string[];
}

/** Every program that a project's configuration would run. */
export function configuredCommands(config: Config): ConfiguredCommand[] {
  const { identity_command } = config.secrets;
  return identity_command === undefined
    ? []
    : [{ setting: "secrets.identity_command", argv: identity_command }];
}

/**
 * What an operator trusts: these commands, word for word, for this project folder. Taken from the loaded configuration
 * and not from the file, so that nothing can change between the check and the use.
 */
export function trustDigest(dir: string, commands: readonly ConfiguredCommand[]): string {
  return sha256Hex(
    canonicalJson({ dir, commands: commands.map(({ setting, argv }) => ({ setting, argv: [...argv] })) }),
  );
}

/** The record of a project in the user's own folder: a file that holds the digest. */
export function trustRecord(stateFolder: string, dir: string): string {
  return join(stateFolder, "trust", sha256Hex(dir));
}
