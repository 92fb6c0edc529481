import { sha256Hex } from "../../core/bytes.ts";
import type { ObservedEffect } from "../../core/effect.ts";
import type { HttpAnswer } from "../../core/host-call.ts";
import type { ReadBackPlan } from "../../core/plan.ts";
import { assertionFaults } from "./assertions.ts";

/** What an answer to a read-back lacks of what the plan wants; empty when it shows the effect. */
export function answerFaults(plan: ReadBackPlan, { status, headers, body }: HttpAnswer): readonly string[] {
  const expected = plan.status?.includes(status) ?? (status >= 200 && status <= 299);
  if (!expected) return [`the status ${status} was not expected`];
  return assertionFaults(plan.assert, { status, headers, body });
}

/**
 * Why the read-backs of an effect do not confirm it; empty when the last of them does, and is the one that the host
 * observed.
 *
 * @param answer what the last one brought; null when it brought nothing, or none was made
 */
export function readBackFaults(
  plan: ReadBackPlan,
  answer: HttpAnswer | null,
  effects: readonly ObservedEffect[],
): readonly string[] {
  const told = (fault: string) => `read-back: ${fault}`;
  const seen = effects.findLast((effect) => effect.kind === "http" && effect.purpose === "read_back");
  if (seen?.kind !== "http") return [told("the effect was not looked for")];
  if (answer === null) return [told(`ended with ${seen.error ?? "no answer"}`)];
  if (seen.status !== answer.status || seen.responseHash !== sha256Hex(answer.body))
    return [told("the answer is not the one that the host observed")];
  return answerFaults(plan, answer).map(told);
}
