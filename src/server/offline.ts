import { loadConfig } from "../config/load.ts";
import type { LatchGateError } from "../core/errors.ts";
import { VERSION } from "../core/version.ts";
import { Ledger } from "../gate/ledger.ts";
import { lockLedger } from "../ledger/lock.ts";
import { checkpointRhythm } from "./evidence.ts";
import { projectPaths } from "./project-paths.ts";

/** Rotates a key of a ledger whose gate is stopped, under the ledger's lock. Throws `ledger_locked` when it runs. */
export async function rotateOffline(
  dir: string,
  purpose: "evidence" | "checkpoint" | "lease",
): Promise<{ readonly previous: string; readonly kid: string }> {
  const paths = projectPaths(dir);
  const config = loadConfig(paths.config, process.env);
  const lock = lockLedger(paths.lock);
  try {
    let failure: LatchGateError | null = null;
    const ledger = await Ledger.open({
      ledgerPath: paths.ledger,
      payloadsPath: paths.payloads,
      keysDir: paths.keys,
      gateVersion: VERSION,
      groupLimit: 1,
      checkpoints: checkpointRhythm(dir, config),
      onFailure: (error) => {
        failure = error;
      },
    });
    const rotated = await ledger.act("rotateKey", { purpose });
    await ledger.close();
    if (failure !== null) throw failure;
    return rotated;
  } finally {
    lock.release();
  }
}
