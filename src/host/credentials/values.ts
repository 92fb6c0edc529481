import type { Plan } from "../../core/plan.ts";
import { SECRET_MARK, type SecretBinding } from "../../core/secret-binding.ts";
import { HostFailure } from "../failure.ts";
import type { Opened } from "./open.ts";
import { asSent } from "./spelling.ts";

/** Anything shorter would be found by chance in answers that have nothing to do with it. */
export const SHORTEST_SECRET = 8;
/** What looks for a value is a hundred times its size; and no header carries more. */
export const LONGEST_SECRET = 8192;

/**
 * What must be kept out of answers: each value, its spelling in the request, and of a user name with its password the
 * part that is secret by itself. `logins` are names of such pairs beside those of the plan. Throws {@link HostFailure} `secret_invalid` for a
 * value that is too long to be looked for, and for one of a plan over http that is too short to be told from chance;
 * elsewhere such a one, which is no part of an answer, is not looked for.
 */
export function sensitiveValues(
  plan: Plan,
  logins: readonly string[],
  { names, secrets }: Opened,
): readonly Uint8Array[] {
  const values: Uint8Array[] = [];
  for (const name of logins) values.push(...withPart(secrets.bytes(name)));
  if (plan.kind === "http" || plan.kind === "envelope")
    for (const binding of eachPlaceOnce(plan.secrets)) {
      if (!names.has(binding.secret)) continue;
      const value = secrets.bytes(binding.secret);
      if (binding.in === "basic" && binding.format === SECRET_MARK) values.push(...withPart(value));
      else values.push(value);
      const sent = asSent(binding, value);
      if (!Buffer.from(sent).equals(value)) values.push(sent);
    }
  else
    for (const name of names)
      if (secrets.bytes(name).length >= SHORTEST_SECRET) values.push(secrets.bytes(name));
  for (const { length } of values) {
    if (length < SHORTEST_SECRET)
      throw new HostFailure("secret_invalid", `a secret is shorter than ${SHORTEST_SECRET} bytes`);
    if (length > LONGEST_SECRET)
      throw new HostFailure("secret_invalid", `a secret is longer than ${LONGEST_SECRET} bytes`);
  }
  return values;
}

/** An envelope binds a credential to several origins; what is looked for is the same. */
function eachPlaceOnce(bindings: readonly SecretBinding[]): readonly SecretBinding[] {
  const places = new Map<string, SecretBinding>();
  for (const binding of bindings) {
    const { secret, in: place, name, format } = binding;
    places.set(JSON.stringify([secret, place, name, format]), binding);
  }
  return [...places.values()];
}

/** Of `user:password` the password; of `key:`, as some services have it, the key. */
function withPart(value: Uint8Array): readonly Uint8Array[] {
  const colon = value.indexOf(0x3a);
  if (colon < 0) throw new HostFailure("secret_invalid", "a secret is no user:password");
  const password = value.subarray(colon + 1);
  return [value, password.length > 0 ? password : value.subarray(0, colon)];
}
