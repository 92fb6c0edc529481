import type { Plan } from "../core/plan.ts";

/**
 * The task text for the component that carries out a plan. The same plan always gives the same text.
 *
 * - http: `{"method","url","headers":[[name,value]],"body_base64":text|null,"timeout_ms":n}`
 * - fs: `{"operation","path","content_base64":text|null,"expected_before_hash":hex|null}`
 *
 * @param timeoutMs what the component may ask the broker for, milliseconds
 */
export function renderTask(plan: Plan, timeoutMs: number): string {
  if (plan.kind === "http")
    return JSON.stringify({
      method: plan.method,
      url: plan.url,
      headers: plan.headers,
      body_base64: base64(plan.body),
      timeout_ms: timeoutMs,
    });
  return JSON.stringify({
    operation: plan.operation,
    path: plan.path,
    content_base64: base64(plan.content),
    expected_before_hash: plan.expectedBeforeHash,
  });
}

function base64(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString("base64");
}
