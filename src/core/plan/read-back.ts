import type { Json, JsonObject } from "../json.ts";
import type { SecretBinding } from "../secret-binding.ts";
import type { Header } from "./http.ts";

/**
 * How the gate itself looks, after the effect of an http plan, whether the effect is there: GET requests to the
 * plan's own origin. Part of the plan: hashed, shown to the approver; no component knows of it.
 */
export interface ReadBackPlan {
  /** Normalised like the plan's own; a value of the answer goes where its placeholder stands, see {@link answerMark}. */
  readonly url: string;
  /** What the placeholders stand for, in the order of their names. */
  readonly values: readonly AnswerValue[];
  /** As `HttpPlan.headers`. */
  readonly headers: readonly Header[];
  /** Those credentials of the plan that a GET can carry. */
  readonly secrets: readonly SecretBinding[];
  /** Null for any 2xx. */
  readonly status: readonly number[] | null;
  readonly assert: readonly PlannedAssertion[];
  /** Most requests; each counts as a host call. */
  readonly attempts: number;
  /** Milliseconds between two of them. */
  readonly intervalMs: number;
}

/** A text or whole number of the answer to the effect, by JSON pointer (RFC 6901). */
export interface AnswerValue {
  readonly name: string;
  readonly pointer: string;
}

/** What must be so in the JSON that is read back: a value, or its type. */
export type PlannedAssertion =
  | { readonly pointer: string; readonly equals: Json }
  | { readonly pointer: string; readonly type: string };

/** What stands for a value of the answer in a planned URL, as the URL parser writes `{name}` in a path. */
export function answerMark(name: string): string {
  return `%7B${name}%7D`;
}

export function readBackToJson(plan: ReadBackPlan) {
  return {
    url: plan.url,
    values: plan.values.map(({ name, pointer }) => ({ name, pointer })),
    headers: plan.headers.map(([name, value]): [string, string] => [name, value]),
    secrets: plan.secrets.map((binding) => ({ ...binding })),
    status: plan.status === null ? null : [...plan.status],
    assert: plan.assert.map((assertion) => ({ ...assertion })),
    attempts: plan.attempts,
    interval_ms: plan.intervalMs,
  } satisfies JsonObject;
}

export function readBackFromJson(stored: ReturnType<typeof readBackToJson>): ReadBackPlan {
  const { interval_ms: intervalMs, ...plan } = stored;
  return { ...plan, intervalMs };
}
