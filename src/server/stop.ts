import type { Gate } from "../gate/gate.ts";
import type { Anchoring } from "./anchoring.ts";
import { flushShed } from "./chores.ts";
import type { Front } from "./front/index.ts";

/** How long witnesses have for the last checkpoint. What they miss is sent to them first thing at the next start. */
const LAST_ANCHOR_MS = 5_000;

/** How long a call that was cut off at the deadline has to tell its caller, and a log to be read. */
const LAST_WORDS_MS = 1_000;

/**
 * Stops a gate: no new calls, those under way end within the drain time, then the last entries, a checkpoint that witnesses
 * may still cosign, and the files are closed.
 */
export async function stopGate(
  gate: Gate,
  front: Front,
  lock: { release(): void },
  reason: string,
  anchoring: Anchoring | null,
): Promise<void> {
  const drainMs = gate.config.limits.drain_s * 1000;
  gate.state.draining = true;
  const deadline = gate.clock.monotonic() + drainMs;
  const late = setTimeout(() => gate.running.stop("gate_stopping"), drainMs);
  // Meanwhile new calls are told that the gate is draining, and agents can still fetch what has ended.
  await gate.running.drained();
  await front.close(Math.max(LAST_WORDS_MS, deadline - gate.clock.monotonic()));
  // A call that was admitted before, and granted since.
  await gate.running.drained();
  clearTimeout(late);
  gate.statements.close();
  await gate.host.close();
  await gate.sandbox.close();
  await gate.componentLog.flush(LAST_WORDS_MS);
  await flushShed(gate);
  await gate.ledger.act("stopGate", { reason });
  if (anchoring !== null) {
    // Whenever the one before was asked for.
    await gate.ledger.checkpoint(Number.POSITIVE_INFINITY);
    await anchoring.finish(LAST_ANCHOR_MS);
  }
  gate.reader.close();
  await gate.ledger.close();
  lock.release();
}
