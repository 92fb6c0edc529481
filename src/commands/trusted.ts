import { realpathSync } from "node:fs";
import { readPrivateText, stateDir } from "../client/state.ts";
import type { Config } from "../config/schema.ts";
import { configuredCommands, trustDigest, trustRecord } from "../config/trust.ts";
import { LatchGateError } from "../core/errors.ts";

/**
 * Refuses configuration that would run a program, unless this account's operator trusted exactly that with
 * `latchgate trust`. Throws `config_untrusted`.
 */
export function assertTrustedCommands(config: Config, dir: string): void {
  const commands = configuredCommands(config);
  const real = realpathSync(dir);
  const record = readPrivateText(trustRecord(stateDir(process.env), real));
  if (record?.trim() === trustDigest(real, commands)) return;
  throw new LatchGateError(
    "config_untrusted",
    `the configuration would run ${commands.map(({ argv }) => argv[0]).join(", ")} (${commands
      .map(({ setting }) => setting)
      .join(", ")}), which was not trusted`,
    { hint: "read it, then run latchgate trust" },
  );
}
