import type { Gate } from "../gate/gate.ts";
import { type LeaseSigner, leaseSigner } from "../identity/index.ts";
import type { RotatablePurpose } from "../keys/history.ts";
import { Keyring } from "../ledger/keyring.ts";
import type { LedgerReader } from "../ledger/reader.ts";
import type { RevocationRefused, RevokedKey } from "../ledger/revoker.ts";
import { leaseKeys } from "./lease-keys.ts";
import { exportVerifyingKeys } from "./verifying-keys.ts";

/** The lease key that the log says is in force, from its file. */
export function currentLeaseSigner(reader: LedgerReader, keysDir: string): LeaseSigner {
  const key = reader.keys().findLast((candidate) => candidate.purpose === "lease");
  if (key === undefined) throw new TypeError("the log names no lease key"); // its opening introduces one
  return leaseSigner(new Keyring(keysDir).load("lease", key.kid));
}

/** Takes the key history anew, after it changed; what was verified under another lease key is looked at again. */
export function takeKeyChange(gate: Gate): void {
  gate.reader.refreshKeys();
  gate.state.leaseSigner = currentLeaseSigner(gate.reader, gate.keysDir);
  gate.leases.replaceKeys(leaseKeys(gate.reader, gate.config.lease.key_grace_s * 1000));
  try {
    exportVerifyingKeys(gate);
  } catch {
    // The change stands; the chore that keeps the export up to date tries again, and says what is in its way.
  }
}

/** Rotates a key while the gate runs. */
export async function rotateGateKey(
  gate: Gate,
  purpose: RotatablePurpose,
): Promise<{ readonly previous: string; readonly kid: string }> {
  const rotated = await gate.ledger.act("rotateKey", { purpose });
  takeKeyChange(gate);
  return rotated;
}

/** Ends a key while the gate runs, by a statement of the recovery key. */
export async function revokeGateKey(gate: Gate, statement: string): Promise<RevokedKey | RevocationRefused> {
  const revoked = await gate.ledger.act("revokeKey", { statement });
  if (!("refused" in revoked)) takeKeyChange(gate);
  return revoked;
}
