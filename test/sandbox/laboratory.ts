import { join } from "node:path";
import type { HostAnswer, HostCall, HostDoor } from "../../src/core/host-call.ts";
import type { CallLimits } from "../../src/core/plan.ts";
import {
  createSandbox,
  type IngestedComponent,
  ingestComponent,
  type RunOutcome,
  type RunRequest,
  type Sandbox,
  type SandboxOptions,
} from "../../src/sandbox/index.ts";
import { buildComponent, pinOf } from "./build-component.ts";

/** How tests start a runner: the pinned Bun on the entry beside this file. */
export const SELF = [process.execPath, join(import.meta.dir, "runner-entry.ts")] as const;

export const LIMITS: CallLimits = {
  timeoutMs: 10_000,
  fuel: 100_000_000,
  memoryMb: 64,
  ioCalls: 10,
  requestBytes: 65_536,
  responseBytes: 1_048_576,
};

/** With fuel for a guest that spins until something else ends it. */
export const ENDLESS: CallLimits = { ...LIMITS, fuel: 1_000_000_000_000 };

export function openSandbox(options: Partial<SandboxOptions> = {}): Promise<Sandbox> {
  return createSandbox({ runners: 1, self: SELF, maxInFlight: 16, queueLimit: 64, ...options });
}

/** Builds a component from AssemblyScript and registers it. */
export async function admit(
  sandbox: Sandbox,
  source: string,
  origin: IngestedComponent["origin"] = "builtin",
): Promise<string> {
  return admitBytes(sandbox, await buildComponent(source), origin);
}

export async function admitBytes(
  sandbox: Sandbox,
  bytes: Uint8Array,
  origin: IngestedComponent["origin"] = "builtin",
): Promise<string> {
  const component = await ingestComponent({ bytes, pin: pinOf(bytes), origin, validate: null });
  sandbox.register(component);
  return component.digest;
}

/** A door that answers as a script says and remembers what it was asked. */
export class ScriptedDoor implements HostDoor {
  readonly asked: HostCall[] = [];
  private readonly script: (call: HostCall) => HostAnswer | Promise<HostAnswer>;

  constructor(script: (call: HostCall) => HostAnswer | Promise<HostAnswer> = respond(200)) {
    this.script = script;
  }

  async call(call: HostCall): Promise<HostAnswer> {
    this.asked.push(call);
    return this.script(call);
  }

  effects() {
    return [];
  }

  async close() {}
}

/** Answers every http call with this status and body. */
export function respond(
  status: number,
  body: string | Uint8Array = "",
  headers: readonly (readonly [string, string])[] = [],
) {
  return (call: HostCall): HostAnswer =>
    call.kind === "http.request"
      ? { kind: call.kind, ok: { status, headers, body: Uint8Array.from(Buffer.from(body)) } }
      : { kind: call.kind, err: "not_granted" };
}

/** An answer that never comes, and a promise that resolves when it is waited for. */
export function silence() {
  let heard: () => void = () => {};
  const asked = new Promise<void>((resolve) => {
    heard = resolve;
  });
  const script = () => {
    heard();
    return new Promise<HostAnswer>(() => {});
  };
  return { asked, script };
}

export function run(
  sandbox: Sandbox,
  digest: string,
  request: Partial<RunRequest> = {},
): Promise<RunOutcome> {
  const asked = {
    digest,
    tenant: "default",
    task: "{}",
    limits: LIMITS,
    deadline: performance.now() + 30_000,
    door: new ScriptedDoor(),
    signal: new AbortController().signal,
    ...request,
  };
  const place = sandbox.reserve(digest, asked.tenant);
  if (place === null) throw new Error("the sandbox has no place for the call");
  return sandbox.run(asked, place);
}

/** A host call that waits until the test answers it. */
export function held() {
  let answer: () => void = () => {};
  let heard: () => void = () => {};
  const asked = new Promise<void>((resolve) => {
    heard = resolve;
  });
  const released = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const script = async (call: HostCall) => {
    heard();
    await released;
    return respond(200)(call);
  };
  return { asked, script, answer: () => answer() };
}

/** Turns of the event loop until it holds; the test's own timeout is the limit. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}
