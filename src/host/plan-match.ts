import type { HostCall } from "../core/host-call.ts";
import type { FsPlan, HttpPlan, Plan } from "../core/plan.ts";
import { parseTargetUrl, UrlError } from "../core/url.ts";

/** Whether a call asks for the planned effect, byte for byte. An attacker controls the call. */
export function equalsPlan(call: HostCall, plan: Plan): boolean {
  if (call.kind === "http.request") return plan.kind === "http" && equalsHttp(call, plan);
  return plan.kind === "fs" && equalsFs(call, plan);
}

function equalsHttp(call: HostCall & { readonly kind: "http.request" }, plan: HttpPlan): boolean {
  return (
    Number.isInteger(call.timeoutMs) &&
    call.timeoutMs >= 0 &&
    call.method === plan.method &&
    normalUrl(call.url) === plan.url &&
    call.headers.length === plan.headers.length &&
    plan.headers.every(
      ([name, value], i) => call.headers[i]?.[0] === name && call.headers[i]?.[1] === value,
    ) &&
    equalBytes(call.body, plan.body)
  );
}

function equalsFs(call: Exclude<HostCall, { readonly kind: "http.request" }>, plan: FsPlan): boolean {
  if (call.path !== plan.path) return false;
  switch (call.kind) {
    case "fs.read":
      return plan.operation === "read";
    case "fs.delete":
      return plan.operation === "delete";
    case "fs.write":
      return (
        plan.operation === call.mode &&
        equalBytes(call.content, plan.content) &&
        hex(call.expectedBeforeHash) === plan.expectedBeforeHash
      );
  }
}

function normalUrl(text: string): string | null {
  try {
    return parseTargetUrl(text).href;
  } catch (thrown) {
    if (thrown instanceof UrlError) return null;
    throw thrown;
  }
}

function equalBytes(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (a === null || b === null) return a === b;
  return a.length === b.length && Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(b);
}

function hex(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString("hex");
}
