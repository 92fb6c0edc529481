import { DAY_MS } from "../budgets/state.ts";
import { messageOf } from "../core/errors.ts";
import type { Gate } from "../gate/gate.ts";
import { pruneBefore } from "./prune.ts";
import type { VerifyingKeysFile } from "./verifying-keys.ts";

const SWEEP_MS = 5_000;
const SUMMARY_MS = 60_000;

/** What the gate does by itself: ends what is over, and writes down what it shed. */
export function startChores(
  gate: Gate,
  report: (line: string) => void,
  verifyingKeys: VerifyingKeysFile,
): NodeJS.Timeout[] {
  const chore = (work: () => Promise<unknown>, everyMs: number) =>
    setInterval(() => void work().catch((error: unknown) => report(messageOf(error))), everyMs);
  return [
    chore(async () => gate.ledger.act("sweepState", null), SWEEP_MS),
    chore(() => flushShed(gate), SUMMARY_MS),
    chore(() => pruneOld(gate), SUMMARY_MS),
    chore(async () => verifyingKeys.refresh(), SWEEP_MS),
  ];
}

/** Destroys stored payloads whose time is over, if there is a time. */
async function pruneOld(gate: Gate): Promise<void> {
  const { keep_days: days } = gate.config.payloads;
  if (days === undefined) return;
  const beforeMs = gate.clock.now() - days * DAY_MS;
  await pruneBefore(gate.ledger, { beforeMs, cause: "retention", operator: null });
}

/** Writes the counts of shed load, if there are any. */
export async function flushShed(gate: Gate): Promise<void> {
  const summary = gate.shed.take();
  if (summary !== null) await gate.ledger.act("summariseShed", summary);
}
