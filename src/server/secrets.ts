import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Config } from "../config/schema.ts";
import { LatchGateError, messageOf } from "../core/errors.ts";
import type { IdentitySource } from "../secrets/identity.ts";
import { createSecretSource, type OwnedSecretSource } from "../secrets/source.ts";

/**
 * The secrets of a gate. A file that is there is opened at once, beside the start and not before it: the first call need
 * not wait, and the operator hears now, rather than by a refused call, when it can't be opened.
 */
export function openSecrets(
  config: Config,
  dir: string,
  identity: IdentitySource,
  report: (line: string) => void,
): OwnedSecretSource {
  const file = resolve(dir, config.secrets.file);
  const source = createSecretSource({ file, identity });
  if (existsSync(file))
    source.open({ names: [], tenant: "", principal: "", signal: new AbortController().signal }).then(
      (open) => open.release(),
      (error: unknown) =>
        report(
          `secrets: ${messageOf(error)} (${error instanceof LatchGateError ? error.code : "internal_error"})`,
        ),
    );
  return source;
}
