import { SECRET_MARK, type SecretBinding } from "../../core/secret-binding.ts";
import type { OpenSecrets } from "../../core/secrets.ts";
import { HostFailure } from "../failure.ts";

/** Anything shorter would be found by chance in answers that have nothing to do with it. */
export const SHORTEST_SECRET = 8;

/**
 * What must be kept out of answers: each value, and of a user name with its password the part that is secret by
 * itself. `logins` are names of further pairs. Throws {@link HostFailure} `secret_invalid` for a value that is too short to be told from chance.
 */
export function sensitiveValues(
  bindings: readonly SecretBinding[],
  logins: readonly string[],
  secrets: OpenSecrets,
): readonly Uint8Array[] {
  const values: Uint8Array[] = [];
  for (const name of logins) values.push(...withPart(secrets.bytes(name)));
  for (const binding of bindings) {
    const value = secrets.bytes(binding.secret);
    if (binding.in === "basic" && binding.format === SECRET_MARK) values.push(...withPart(value));
    else values.push(value);
  }
  for (const value of values)
    if (value.length < SHORTEST_SECRET)
      throw new HostFailure("secret_invalid", `a secret is shorter than ${SHORTEST_SECRET} bytes`);
  return values;
}

/** Of `user:password` the password; of `key:`, as some services have it, the key. */
function withPart(value: Uint8Array): readonly Uint8Array[] {
  const colon = value.indexOf(0x3a);
  if (colon < 0) throw new HostFailure("secret_invalid", "a secret is no user:password");
  const password = value.subarray(colon + 1);
  return [value, password.length > 0 ? password : value.subarray(0, colon)];
}
