import type { HostCall } from "../../src/core/host-call.ts";
import type { CallLimits, FsPlan, HttpPlan, Plan } from "../../src/core/plan.ts";
import type { DoorRequest } from "../../src/host/index.ts";

export const LIMITS: CallLimits = {
  timeoutMs: 30_000,
  fuel: 1_000_000,
  memoryMb: 64,
  ioCalls: 4,
  requestBytes: 65_536,
  responseBytes: 65_536,
};

export function httpPlan(changes: Partial<HttpPlan> = {}): HttpPlan {
  return {
    kind: "http",
    method: "GET",
    url: "https://api.example.com/items?page=1",
    headers: [["accept", "application/json"]],
    body: null,
    hosts: ["api.example.com"],
    responseHeaders: ["content-type"],
    secrets: [],
    ...changes,
  };
}

export function fsPlan(root: string, changes: Partial<FsPlan> = {}): FsPlan {
  return {
    kind: "fs",
    operation: "read",
    root,
    path: "src/a.txt",
    content: null,
    expectedBeforeHash: null,
    allow: ["**"],
    deny: [],
    maxFileBytes: 1_048_576,
    ...changes,
  };
}

/** The call that a faithful component makes for a plan. */
export function callFor(plan: Plan): HostCall {
  if (plan.kind === "http")
    return {
      kind: "http.request",
      method: plan.method,
      url: plan.url,
      headers: plan.headers,
      body: plan.body,
      timeoutMs: 0,
    };
  if (plan.operation === "read") return { kind: "fs.read", path: plan.path };
  if (plan.operation === "delete") return { kind: "fs.delete", path: plan.path };
  return {
    kind: "fs.write",
    path: plan.path,
    content: plan.content ?? new Uint8Array(),
    mode: plan.operation,
    expectedBeforeHash: plan.expectedBeforeHash === null ? null : Buffer.from(plan.expectedBeforeHash, "hex"),
  };
}

export function doorRequest(plan: Plan, changes: Partial<DoorRequest> = {}): DoorRequest {
  return {
    action: "test_action",
    plan,
    limits: LIMITS,
    deadline: performance.now() + 30_000,
    signal: new AbortController().signal,
    secrets: { granted: [], tenant: "default", principal: "uid:1000" },
    ...changes,
  };
}
