import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../config/schema.ts";
import { systemClock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Gate } from "../gate/gate.ts";
import { replaceFile } from "../keys/replace-file.ts";
import { exportKeys } from "../ledger/load.ts";
import { LedgerReader } from "../ledger/reader.ts";
import { goodLeaseKeys } from "./lease-keys.ts";
import { projectPaths } from "./project-paths.ts";

/**
 * The verifying keys of the log as a JWK set (RFC 7517): every evidence, checkpoint and recovery key there ever was,
 * with the entries it may speak for; lease keys only while their leases may be good.
 */
export function verifyingKeys(reader: LedgerReader, graceMs: number, now: number) {
  const leases = new Set(goodLeaseKeys(reader, graceMs, now));
  return exportKeys(reader.keys().filter((key) => key.purpose !== "lease" || leases.has(key)));
}

/** For other tools; nothing here reads it back but to see whether it is up to date. Private like all files beside it. */
function writeVerifyingKeys(keysDir: string, reader: LedgerReader, graceMs: number, now: number): void {
  const path = join(keysDir, "verifying-keys.json");
  const text = `${JSON.stringify(verifyingKeys(reader, graceMs, now), null, 2)}\n`;
  if (existsSync(path) && readFileSync(path, "utf8") === text) return;
  replaceFile(path, text, 0o600);
}

/** Writes the set of a running gate. */
export function exportVerifyingKeys(gate: Gate): void {
  const graceMs = gate.config.lease.key_grace_s * 1000;
  writeVerifyingKeys(gate.keysDir, gate.reader, graceMs, gate.clock.now());
}

/** Writes the set of a stopped gate. */
export function exportStoppedKeys(dir: string, config: Config): void {
  const paths = projectPaths(dir);
  const reader = new LedgerReader(paths.ledger, paths.payloads);
  try {
    writeVerifyingKeys(paths.keys, reader, config.lease.key_grace_s * 1000, systemClock.now());
  } finally {
    reader.close();
  }
}

/** Keeps the export up to date; that it can't be written is said once, and keeps nothing from working. */
export class VerifyingKeysFile {
  private readonly gate: Gate;
  private readonly report: (line: string) => void;
  private said = false;

  constructor(gate: Gate, report: (line: string) => void) {
    this.gate = gate;
    this.report = report;
  }

  refresh(): void {
    try {
      exportVerifyingKeys(this.gate);
      this.said = false;
    } catch (error) {
      if (!this.said) this.report(`keys/verifying-keys.json can't be written: ${messageOf(error)}`);
      this.said = true;
    }
  }
}
