import { didYouMean } from "../core/suggest.ts";
import type { Authenticated, Resolved } from "./call.ts";
import type { Gate } from "./gate.ts";
import { type Refusal, refuse } from "./refusal.ts";

/** Step 3: which action? One registry snapshot serves the whole request, and names the component by digest. */
export function resolve(gate: Gate, call: Authenticated): Resolved | Refusal {
  const { registry } = gate;
  const action = registry.get(call.request.actionId);
  if (action === undefined) {
    const near = didYouMean(
      call.request.actionId,
      registry.list().map(({ id }) => id),
    );
    return refuse("action_not_found", 404, "no such action", {
      hint: near === undefined ? "latchgate actions lists them" : `did you mean ${near}?`,
    });
  }
  const component = gate.components.get(action.provider.ref);
  if (component === undefined)
    return refuse("action_not_registered", 403, "the action's component is not registered");
  return { ...call, action, generation: registry.generation, component };
}
