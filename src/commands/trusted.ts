import { realpathSync } from "node:fs";
import { readPrivateText, stateDir } from "../client/state.ts";
import type { Config } from "../config/schema.ts";
import {
  type IdentityOrigin,
  identityOrigin,
  needsTrust,
  trustDigest,
  trustRecord,
} from "../config/trust.ts";
import { LatchGateError } from "../core/errors.ts";

/**
 * What opens the secrets of a project. Refuses a program to run, a variable of this account, and a file outside the
 * project folder, unless the operator trusted exactly that with `latchgate trust`. Throws `config_untrusted`.
 */
export function trustedIdentity(config: Config, dir: string): IdentityOrigin {
  const origin = identityOrigin(config, dir);
  if (!needsTrust(origin)) return origin;
  const real = realpathSync(dir);
  const record = readPrivateText(trustRecord(stateDir(process.env), real));
  if (record?.trim() === trustDigest(real, origin)) return origin;
  const { wanted, hint } = refused(origin);
  throw new LatchGateError(
    "config_untrusted",
    `the configuration ${wanted} (${origin.setting}), which was not trusted`,
    { hint },
  );
}

function refused(origin: IdentityOrigin): { readonly wanted: string; readonly hint: string } {
  if (origin.setting === "secrets.identity_command")
    return { wanted: `would run ${origin.argv[0]}`, hint: "read it, then run latchgate trust" };
  return {
    wanted:
      origin.setting === "secrets.identity_env"
        ? `would open secrets with the identity in the variable ${origin.variable}`
        : `would open secrets with the identity file ${origin.path}, outside the project folder`,
    hint: "in a folder of your own, run latchgate trust; in another, first read its latchgate.toml and actions",
  };
}
