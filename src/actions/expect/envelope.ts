import type { ObservedEffect } from "../../core/effect.ts";
import { outsideEnvelope } from "../../core/plan/envelope.ts";
import type { EnvelopePlan } from "../../core/plan.ts";
import { parseTargetUrl } from "../../core/url.ts";
import type { Verify } from "../manifest-schema.ts";

/**
 * What is wrong with the requests of an envelope, as the host saw them: each of them counts, also one that was
 * refused. They have to lie inside, to have been answered, as the manifest expects, and to be as many as it expects.
 */
export function envelopeFaults(
  effects: readonly ObservedEffect[],
  plan: EnvelopePlan,
  verify: Verify,
): readonly string[] {
  const faults = new Set<string>();
  const status = verify.kind === "envelope" ? verify.status : undefined;
  const { min = 1, max = plan.calls } = (verify.kind === "envelope" ? verify.calls : undefined) ?? {};
  if (effects.length === 0) return ["no effect was observed"];
  const made = effects.filter(({ reached }) => reached === "confirmed").length;
  if (effects.length > plan.calls) faults.add("more calls were observed than the envelope has");
  if (made < min || made > max) faults.add(`${made} calls were answered, which was not expected`);
  for (const effect of effects) {
    if (effect.kind !== "http") {
      faults.add("the observed effect is of another kind than the plan");
      continue;
    }
    if (effect.error !== null) faults.add(`a host call ended with ${effect.error}`);
    if (effect.reached !== "confirmed") {
      faults.add("an effect was not confirmed");
      continue;
    }
    const url = parseTargetUrl(effect.origin + effect.target);
    const outside = outsideEnvelope(plan, effect.method, url);
    if (outside !== null) faults.add(`an observed request is outside of the envelope: ${outside}`);
    const bound = effect.secrets.every((secret) =>
      plan.secrets.some((binding) => binding.secret === secret && binding.origin === effect.origin),
    );
    if (!bound) faults.add("a credential was sent to another origin than its own");
    const seen = effect.status ?? 0;
    if (verify.kind === "envelope" && !(status?.includes(seen) ?? (seen >= 200 && seen <= 299)))
      faults.add(`the status ${seen} was not expected`);
  }
  return [...faults];
}
