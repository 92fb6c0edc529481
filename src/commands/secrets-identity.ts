import { readSync } from "node:fs";
import type { Config } from "../config/schema.ts";
import { forbidCoreFiles } from "../core/process-limits.ts";
import type { IdentitySource } from "../secrets/identity.ts";
import type { Args } from "./command.ts";
import { EndedError, EXIT, UsageError } from "./exit-code.ts";

export const PASSPHRASE_FLAG = {
  "identity-passphrase-fd": {
    type: "string",
    description: "Descriptor to read the passphrase of the identity file from",
    valueHint: "FD",
  },
} as const satisfies Args;

const LONGEST_PASSPHRASE = 4096;

/**
 * What opens the secrets file, as configuration says: a command; a variable, which is taken out of the environment; or
 * a file, unlocked here when it is protected by a passphrase. A file that is not there yet is looked for again when a
 * secret is wanted. Throws `config_untrusted` before any of them is touched, see {@link trustedIdentity}.
 */
export async function openIdentity(
  config: Config,
  dir: string,
  passphraseFd: string | undefined,
): Promise<IdentitySource> {
  forbidCoreFiles();
  const origin = (await import("./trusted.ts")).trustedIdentity(config, dir);
  const { fixedIdentities, identityCommand, identityFile, unlockIdentityFile } = await import(
    "../secrets/identity.ts"
  );
  if (origin.setting === "secrets.identity_command") return identityCommand(origin.argv, dir);
  if (origin.setting === "secrets.identity_env") {
    const { variable } = origin;
    const { parseIdentities } = await import("../secrets/age.ts");
    const text = process.env[variable] ?? "";
    delete process.env[variable];
    return fixedIdentities(await parseIdentities(text, `the variable ${variable}`));
  }
  const { path } = origin;
  // Without a file there is nothing to unlock; who wants a secret is told what is missing.
  if (!(await Bun.file(path).exists())) return identityFile(path);
  const unlocked = await unlockIdentityFile(path, () => passphraseFor(path, passphraseFd));
  return unlocked === null ? identityFile(path) : fixedIdentities(unlocked);
}

/** From the descriptor, else from the terminal. */
export async function passphraseFor(path: string, fd: string | undefined): Promise<string> {
  if (fd !== undefined) return readLineFrom(fd);
  const typed = await (await import("./prompt.ts")).askPassphrase(path);
  if (typed === null)
    throw new EndedError(
      EXIT.error,
      "secrets_unavailable",
      `the identity file ${path} is protected by a passphrase, and there is no terminal to ask on`,
      "add --identity-passphrase-fd",
    );
  return typed;
}

function readLineFrom(text: string): string {
  const fd = /^[0-9]{1,4}$/.test(text) ? Number(text) : -1;
  const buffer = Buffer.alloc(LONGEST_PASSPHRASE);
  let length = 0;
  try {
    if (fd < 0) throw new RangeError("no descriptor");
    for (;;) {
      const read = readSync(fd, buffer, length, buffer.length - length, null);
      length += read;
      if (read === 0 || length === buffer.length || buffer.subarray(0, length).includes(0x0a)) break;
    }
  } catch {
    throw new UsageError("--identity-passphrase-fd is no descriptor that can be read");
  }
  const passphrase = buffer.subarray(0, length).toString("utf8").split("\n")[0]?.replace(/\r$/, "") ?? "";
  buffer.fill(0);
  if (passphrase === "") throw new UsageError("--identity-passphrase-fd gave no passphrase");
  return passphrase;
}
