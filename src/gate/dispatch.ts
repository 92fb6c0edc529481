import { messageOf } from "../core/errors.ts";
import { interfacesFor, type Place } from "../sandbox/index.ts";
import type { Dispatched, Granted } from "./call.ts";
import type { Gate } from "./gate.ts";
import { readBack } from "./read-back.ts";

/**
 * Step 9: the only place where an effect can happen. A fresh instance runs the component; what it asks of the world
 * goes through one door, made for this grant, which does it only if it equals the plan. Never throws: whatever
 * happens here must reach the receipt.
 */
export async function dispatch(gate: Gate, granted: Granted, place: Place): Promise<Dispatched> {
  const { call, deadline, signal } = granted;
  if (signal.aborted)
    return {
      ...granted,
      output: null,
      effects: [],
      redactions: 0,
      readBack: null,
      ...NOTHING_USED,
      ended: String(signal.reason),
    };
  const { plan, limits, component: digest } = call;
  const interfaces = interfacesFor(plan.kind);
  const { tenant, principal } = call.caller;
  const action = call.action.id;
  const caller = { tenant, principal };
  const { secrets } = granted.decision.granted;
  const door = gate.host.door({ plan, limits, deadline, signal, action, caller, secrets });
  const run = async () => {
    const task = call.action.task(plan);
    const ended = await gate.sandbox.run(
      { digest, tenant, task, limits, deadline, door, signal, granted: interfaces },
      place,
    );
    if (ended.status !== "ok") return ended;
    const output = await door.scrub(ended.output);
    const { answer, calls } = await readBack(gate, door, granted, output);
    return { ...ended, output, readBack: answer, ioCalls: ended.ioCalls + calls };
  };
  const ran = await run().catch((error: unknown) => ({
    status: "internal_error" as const,
    detail: messageOf(error),
    ...NOTHING_USED,
  }));
  // What it knows of credentials goes with the door.
  if ("logs" in ran) gate.componentLog.take(call, ran.logs, (message, cut) => door.scrubLine(message, cut));
  await door.close();
  const effects = door.effects();
  const { ioCalls, fuel, peakMemoryBytes } = ran;
  const facts = { effects, ioCalls, fuel, peakMemoryBytes, redactions: door.redactions() };
  if (ran.status === "ok")
    return { ...granted, output: ran.output, ended: null, readBack: ran.readBack, ...facts };
  const ended = ran.status === "cancelled" && signal.aborted ? String(signal.reason) : codeOf(ran);
  return { ...granted, output: null, ended, readBack: null, ...facts };
}

const NOTHING_USED = { ioCalls: 0, fuel: null, peakMemoryBytes: null };

/** The stable code of how a run ended, for the receipt: a trap's says of what kind it was. */
function codeOf(ran: { readonly status: string; readonly kind?: string }): string {
  return ran.kind === undefined ? ran.status : `${ran.status}_${ran.kind}`;
}
