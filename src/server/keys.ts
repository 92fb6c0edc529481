import { createPublicKey } from "node:crypto";
import type { Gate } from "../gate/gate.ts";
import { type LeaseKey, type LeaseSigner, leaseSigner } from "../identity/index.ts";
import { Keyring } from "../ledger/keyring.ts";
import type { LedgerReader } from "../ledger/reader.ts";

/** The lease key that the log says is in force, from its file. */
export function currentLeaseSigner(reader: LedgerReader, keysDir: string): LeaseSigner {
  const key = reader.keys().findLast((candidate) => candidate.purpose === "lease");
  if (key === undefined) throw new TypeError("the log names no lease key"); // its opening introduces one
  return leaseSigner(new Keyring(keysDir).load("lease", key.kid));
}

/** Every lease key of the log; a replaced one is good for `graceMs` after the entry that replaced it. */
export function leaseKeys(reader: LedgerReader, graceMs: number): LeaseKey[] {
  return reader
    .keys()
    .filter((key) => key.purpose === "lease")
    .map(({ jwk, validToSeq }) => {
      const key = createPublicKey({ key: { ...jwk }, format: "jwk" });
      if (validToSeq === null) return { key, notAfter: null };
      const replaced = reader.trusted(validToSeq, "key.rotated");
      return { key, notAfter: Date.parse(replaced.time) + graceMs };
    });
}

/** Rotates a key while the gate runs; what was verified under the old lease key is looked at again. */
export async function rotateGateKey(
  gate: Gate,
  purpose: "evidence" | "checkpoint" | "lease",
): Promise<{ readonly previous: string; readonly kid: string }> {
  const rotated = await gate.ledger.act("rotateKey", { purpose });
  gate.reader.refreshKeys();
  if (purpose === "lease") {
    gate.state.leaseSigner = currentLeaseSigner(gate.reader, gate.keysDir);
    gate.leases.replaceKeys(leaseKeys(gate.reader, gate.config.lease.key_grace_s * 1000));
  }
  return rotated;
}
