import type { Clock } from "../core/clock.ts";
import type { HostErrorCode, HttpEffect, ObservedEffect } from "../core/effect.ts";
import type { HostAnswer, HostCall, HostDoor } from "../core/host-call.ts";
import type { Json } from "../core/json.ts";
import type { CallLimits, Plan } from "../core/plan.ts";
import type { SecretBinding } from "../core/secret-binding.ts";
import type { SecretSource } from "../core/secrets.ts";
import { openCredentials, type SecretGrant } from "./credentials/open.ts";
import { sensitiveValues } from "./credentials/values.ts";
import { failureOf, HostFailure } from "./failure.ts";
import type { FsBroker } from "./fs/broker.ts";
import type { HttpBroker, JobCredentials } from "./http/broker.ts";
import { equalsPlan } from "./plan-match.ts";
import { type OpenRecord, recordOf, refusalOf, type Writable } from "./record.ts";
import { Scrubber } from "./scrub/scrubber.ts";

/** What doors share; made once per gate by `createHost`. */
export interface HostDeps {
  readonly clock: Clock;
  readonly http: HttpBroker;
  readonly fs: FsBroker;
  /** Null when the gate has no secrets. */
  readonly secrets: SecretSource | null;
}

/** The door as the gate holds it. */
export interface GuardedDoor extends HostDoor {
  /**
   * What a component says, with every form of the credentials that this door has used taken out of its texts. Before
   * `close` alone: afterwards the door knows no credential any more, and rejects.
   */
  scrub(output: Json): Promise<Json>;
  /** In how many places a credential has been taken out so far, answers and `scrub` together. */
  redactions(): number;
}

export interface DoorRequest {
  /** Action id; local egress entries are for one action. */
  readonly action: string;
  readonly plan: Plan;
  readonly limits: CallLimits;
  /** Monotonic milliseconds of the host's clock. */
  readonly deadline: number;
  /** Aborting it is like `close`: nothing happens any more. */
  readonly signal: AbortSignal;
  readonly secrets: SecretGrant;
}

/** Longest time that a timer takes. */
const LONGEST_TIMER = 0x7fffffff;

/**
 * Makes the door of one granted call. It performs the plan once, when asked for exactly that, and answers anything
 * else with a stable code. `onClosed` runs when the door has closed for good.
 */
export function createDoor(
  request: DoorRequest & { readonly deps: HostDeps; readonly onClosed?: () => void },
): GuardedDoor {
  return new Door(request, request.deps, request.onClosed);
}

class Door implements GuardedDoor {
  private readonly request: DoorRequest;
  private readonly deps: HostDeps;
  private readonly onClosed: (() => void) | undefined;
  private readonly controller = new AbortController();
  private readonly records: ObservedEffect[] = [];
  private readonly underWay = new Set<Promise<HostAnswer>>();
  private readonly timer: ReturnType<typeof setTimeout>;
  private readonly onAbort = () => this.shut("cancelled");
  private calls = 0;
  private used = false;
  private scrubber: Scrubber | null = null;

  constructor(request: DoorRequest, deps: HostDeps, onClosed: (() => void) | undefined) {
    this.request = request;
    this.deps = deps;
    this.onClosed = onClosed;
    const remaining = request.deadline - deps.clock.monotonic();
    // A deadline that is no number has passed.
    const left = remaining > 0 ? Math.min(remaining, LONGEST_TIMER) : 0;
    this.timer = setTimeout(() => this.shut("deadline"), left);
    request.signal.addEventListener("abort", this.onAbort, { once: true });
    if (request.signal.aborted) this.shut("cancelled");
    else if (left === 0) this.shut("deadline");
  }

  call(call: HostCall): Promise<HostAnswer> {
    const work = this.answer(call);
    this.underWay.add(work);
    return work.finally(() => this.underWay.delete(work));
  }

  effects(): readonly ObservedEffect[] {
    return this.records.map((record) => ({ ...record }));
  }

  async scrub(output: Json): Promise<Json> {
    return this.scrubber === null ? output : this.scrubber.json(output);
  }

  redactions(): number {
    return this.scrubber?.hits ?? 0;
  }

  async close(): Promise<void> {
    this.shut("cancelled");
    await Promise.allSettled(this.underWay);
    this.scrubber?.clear();
    this.onClosed?.();
  }

  private shut(code: "cancelled" | "deadline"): void {
    clearTimeout(this.timer);
    this.request.signal.removeEventListener("abort", this.onAbort);
    this.controller.abort(new HostFailure(code, "the call is over"));
  }

  private async answer(call: HostCall): Promise<HostAnswer> {
    // The timer may be late when the loop was busy; the clock is not.
    if (this.deps.clock.monotonic() >= this.request.deadline) this.shut("deadline");
    const { signal } = this.controller;
    if (signal.aborted) return { kind: call.kind, err: failureOf(signal.reason, "cancelled").code };
    const refusal = this.refusal(call);
    if (refusal !== null) {
      // A component may ask for ever: beyond the budget only the first refusal is kept.
      if (this.calls <= this.request.limits.ioCalls + 1)
        this.records.push(refusalOf(this.request.plan, refusal));
      return { kind: call.kind, err: refusal };
    }
    this.used = true;
    const record = recordOf(this.request.plan);
    this.records.push(record);
    try {
      return await this.perform(call, record);
    } catch (thrown) {
      const failure = failureOf(thrown, unforeseen(record));
      record.error = failure.code;
      return { kind: call.kind, err: failure.code };
    }
  }

  private refusal(call: HostCall): HostErrorCode | null {
    this.calls += 1;
    if (this.calls > this.request.limits.ioCalls) return "io_budget_exceeded";
    if (!equalsPlan(call, this.request.plan)) return "differs_from_plan";
    // A plan is one effect. Also after a failure: what may have been reached must not be reached twice.
    if (this.used) return "not_granted";
    return null;
  }

  /** What is sent and written is taken from the plan, never from the call. */
  private async perform(call: HostCall, record: OpenRecord): Promise<HostAnswer> {
    const { plan, limits, action } = this.request;
    const { signal } = this.controller;
    if (plan.kind === "http" && record.kind === "http") {
      const timeoutMs = call.kind === "http.request" ? call.timeoutMs : 0;
      const ok = await this.withCredentials(plan.secrets, record, (credentials) =>
        this.deps.http.perform({ plan, action, limits, timeoutMs, signal, record, credentials }),
      );
      return { kind: "http.request", ok };
    }
    if (plan.kind === "fs" && record.kind === "fs")
      return await this.deps.fs.perform({ plan, limits, signal, record });
    throw new HostFailure("not_granted", "no broker for this plan");
  }

  /** Values are open for the length of one effect; what searches for them stays until the door closes. */
  private async withCredentials<T>(
    bindings: readonly SecretBinding[],
    record: Writable<HttpEffect>,
    work: (credentials: JobCredentials | null) => Promise<T>,
  ): Promise<T> {
    const { http, secrets: source } = this.deps;
    const also = http.proxySecret === null ? [] : [http.proxySecret];
    if (bindings.length + also.length === 0) return work(null);
    const { secrets: grant } = this.request;
    const opened = await openCredentials(bindings, source, grant, also, this.controller.signal);
    try {
      if (opened.bindings.length + also.length === 0) return await work(null);
      const scrubber = new Scrubber(sensitiveValues(opened.bindings, also, opened.secrets));
      this.scrubber = scrubber;
      const owner = JSON.stringify([grant.tenant, grant.principal]);
      try {
        return await work({ ...opened, scrubber, owner });
      } finally {
        record.scrubbed = scrubber.hits;
      }
    } finally {
      opened.secrets.release();
    }
  }
}

function unforeseen(record: OpenRecord): HostErrorCode {
  if (record.kind === "fs") return "io_error";
  return record.reached === "none" ? "connect_failed" : "connection_reset";
}
