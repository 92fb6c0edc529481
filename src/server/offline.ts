import { existsSync } from "node:fs";
import { loadConfig } from "../config/load.ts";
import type { LatchGateError } from "../core/errors.ts";
import { VERSION } from "../core/version.ts";
import { Ledger } from "../gate/ledger.ts";
import type { RotatablePurpose } from "../keys/history.ts";
import { LedgerError } from "../ledger/errors.ts";
import { lockLedger } from "../ledger/lock.ts";
import { checkpointRhythm } from "./evidence.ts";
import { projectPaths } from "./project-paths.ts";
import { exportStoppedKeys } from "./verifying-keys.ts";

/** What is done to the ledger of a stopped gate, under its lock. Throws `ledger_locked` when the gate runs. */
export async function withStoppedLedger<T>(dir: string, work: (ledger: Ledger) => Promise<T>): Promise<T> {
  const paths = projectPaths(dir);
  if (!existsSync(paths.ledger))
    throw new LedgerError("ledger_unreadable", `there is no ledger at ${paths.ledger}`);
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
      checkpointOverlapMs: config.evidence.checkpoint_overlap_s * 1000,
      onFailure: (error) => {
        failure = error;
      },
    });
    const result = await work(ledger).finally(async () => {
      if (failure === null) await ledger.close();
    });
    if (failure !== null) throw failure;
    exportStoppedKeys(dir, config);
    return result;
  } finally {
    lock.release();
  }
}

/** Rotates a key of a ledger whose gate is stopped. */
export function rotateOffline(
  dir: string,
  purpose: RotatablePurpose,
): Promise<{ readonly previous: string; readonly kid: string }> {
  return withStoppedLedger(dir, (ledger) => ledger.act("rotateKey", { purpose }));
}
