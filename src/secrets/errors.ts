import { LatchGateError } from "../core/errors.ts";

/**
 * To callers: `secret_missing`, `secrets_unavailable` (no file, no identity, time limit), `secrets_damaged` (MAC,
 * ciphertext or form), `cancelled`. To operators also: `secret_name`, `secret_value`, `secrets_exist`,
 * `secrets_unsupported`. No message and no cause carries a plaintext, a key or source text of the file.
 */
export class SecretsError extends LatchGateError {}

/** The file was changed by somebody without its key, or was never one. */
export function damaged(what: string): SecretsError {
  return new SecretsError("secrets_damaged", `the secrets file is damaged: ${what}`, {
    hint: "restore it from a copy; sops and latchgate secrets are the ways to change it",
  });
}

export function unavailable(what: string, hint?: string): SecretsError {
  return new SecretsError("secrets_unavailable", what, hint === undefined ? {} : { hint });
}
