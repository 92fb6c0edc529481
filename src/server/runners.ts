import type { Config } from "../config/schema.ts";
import { selfCommand } from "../core/self.ts";
import { createSandbox, requireLock, type Sandbox } from "../sandbox/index.ts";

/**
 * Starts the runners, and has throw-away ones try to get out at the same time: a layer that is not in force, or does
 * not hold, keeps the gate from starting (`sandbox_layer_missing`). `unsafe_unlocked` turns that into a line in the
 * log.
 */
export async function openSandbox(
  { sandbox: settings }: Config,
  report: (line: string) => void,
): Promise<Sandbox> {
  const allowUnlocked = settings.unsafe_unlocked;
  const opening = createSandbox({
    runners: settings.runners,
    operatorRunners: settings.operator_runners,
    maxInFlight: settings.max_in_flight,
    maxRunning: settings.max_running,
    queueLimit: settings.queue,
    recycleAfter: settings.recycle_after,
    allowUnlocked,
    self: selfCommand,
    onLost: (detail) => report(`a runner ended: ${detail}`),
  });
  if (!allowUnlocked) {
    const [opened, probed] = await Promise.allSettled([opening, requireLock({ self: selfCommand })]);
    // A runner that refuses to start says why; the probe can only tell what it saw.
    if (opened.status === "rejected") throw opened.reason;
    if (probed.status === "rejected") {
      await opened.value.close();
      throw probed.reason;
    }
  }
  const sandbox = await opening;
  const { missingLayers } = sandbox.stats();
  if (missingLayers.length > 0)
    report(
      `unsafe_unlocked: runners are without ${missingLayers.join(", ")}; a fault in the engine lets components out`,
    );
  return sandbox;
}
