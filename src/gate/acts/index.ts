import type { Act } from "../../ledger/writer.ts";
import { recordCosignature, recordTimestamp } from "./anchor.ts";
import { decideApproval, failApproval } from "./approvals.ts";
import { denyCall } from "./deny.ts";
import { grantCall } from "./grant.ts";
import { holdCall } from "./hold.ts";
import { prepareRevocation, revokeKey } from "./keys.ts";
import { issueLease, revokeAll } from "./leases.ts";
import { rotateKey, startGate, stopGate, summariseShed, sweepState } from "./lifecycle.ts";
import { prunePayloads } from "./prune.ts";
import { recordReceipt } from "./receipt.ts";

/** Every change of state that the gate makes, each with its evidence. The writer thread runs them. */
export const ACTS = {
  startGate,
  stopGate,
  issueLease,
  revokeAll,
  denyCall,
  holdCall,
  decideApproval,
  failApproval,
  grantCall,
  recordReceipt,
  rotateKey,
  prepareRevocation,
  revokeKey,
  prunePayloads,
  summariseShed,
  recordCosignature,
  recordTimestamp,
  sweepState,
} as const satisfies Record<string, Act>;

export type ActName = keyof typeof ACTS;
export type ActInput<N extends ActName> = Parameters<(typeof ACTS)[N]>[1];
export type ActResult<N extends ActName> = ReturnType<(typeof ACTS)[N]>;
