import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Config } from "../config/schema.ts";
import { LatchGateError, messageOf } from "../core/errors.ts";
import type { OpenSecrets, SecretRequest } from "../core/secrets.ts";
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
  let there = existsSync(file);
  if (there)
    source.open({ names: [], tenant: "", principal: "", signal: new AbortController().signal }).then(
      (open) => open.release(),
      (error: unknown) =>
        report(
          `secrets: ${messageOf(error)} (${error instanceof LatchGateError ? error.code : "internal_error"})`,
        ),
    );
  return { open: (request) => openFrom(request), close: () => source.close() };

  /** Where nobody has made a file yet, each secret is missing. A file that goes away later is an outage. */
  async function openFrom(request: SecretRequest): Promise<OpenSecrets> {
    there ||= existsSync(file);
    if (there) return source.open(request);
    throw new LatchGateError("secret_missing", `there is no secrets file ${file}`, {
      hint: "latchgate secrets init makes one",
    });
  }
}
