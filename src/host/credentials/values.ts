import { SECRET_MARK, type SecretBinding } from "../../core/secret-binding.ts";
import type { OpenSecrets } from "../../core/secrets.ts";
import { HostFailure } from "../failure.ts";

/** Anything shorter would be found by chance in answers that have nothing to do with it. */
export const SHORTEST_SECRET = 8;

/**
 * What must be kept out of answers: each value, and of a user name with its password the part that is secret by
 * itself. Throws {@link HostFailure} `secret_invalid` for a value that is too short to be told from chance.
 */
export function sensitiveValues(
  bindings: readonly SecretBinding[],
  secrets: OpenSecrets,
): readonly Uint8Array[] {
  const values: Uint8Array[] = [];
  for (const binding of bindings) {
    const value = secrets.bytes(binding.secret);
    values.push(value);
    if (binding.in === "basic" && binding.format === SECRET_MARK) values.push(secretPart(value));
  }
  for (const value of values)
    if (value.length < SHORTEST_SECRET)
      throw new HostFailure("secret_invalid", `a secret is shorter than ${SHORTEST_SECRET} bytes`);
  return values;
}

/** Of `user:password` the password; of `key:`, as some services have it, the key. */
function secretPart(value: Uint8Array): Uint8Array {
  const colon = value.indexOf(0x3a);
  if (colon < 0) return value;
  return colon + 1 < value.length ? value.subarray(colon + 1) : value.subarray(0, colon);
}
