import type { Clock } from "../core/clock.ts";
import type { HostErrorCode, ObservedEffect } from "../core/effect.ts";
import type { HostAnswer, HostCall, HostDoor } from "../core/host-call.ts";
import { type CallLimits, type Plan, type PlanKind, secretsOf } from "../core/plan.ts";
import type { OpenSecrets, SecretSource } from "../core/secrets.ts";
import type { Broker, BrokerJob, Brokers } from "./broker.ts";
import { withSecrets } from "./credentials.ts";
import { failureOf, HostFailure } from "./failure.ts";
import { equalsPlan } from "./plan-match.ts";
import {
  databaseRecord,
  fsRecord,
  httpRecord,
  mailRecord,
  type OpenRecord,
  queueRecord,
  refusalOf,
  storageRecord,
} from "./record.ts";

/** What doors share; made once per gate by `createHost`. */
export interface HostDeps {
  readonly clock: Clock;
  readonly brokers: Brokers;
  /** Null when the gate has no secrets. */
  readonly secrets: SecretSource | null;
}

export interface DoorRequest {
  /** Action id; local egress entries are for one action. */
  readonly action: string;
  /** Whose secrets are opened. */
  readonly caller: { readonly tenant: string; readonly principal: string };
  readonly plan: Plan;
  readonly limits: CallLimits;
  /** Monotonic milliseconds of the host's clock. */
  readonly deadline: number;
  /** Aborting it is like `close`: nothing happens any more. */
  readonly signal: AbortSignal;
}

/** What one admitted call does, with the record that it keeps. */
interface Work {
  readonly record: OpenRecord;
  readonly run: (secrets: OpenSecrets) => Promise<HostAnswer>;
}

/** Longest time that a timer takes. */
const LONGEST_TIMER = 0x7fffffff;

/**
 * Makes the door of one granted call. It performs the plan once, when asked for exactly that, and answers anything
 * else with a stable code. `onClosed` runs when the door has closed for good.
 */
export function createDoor(
  request: DoorRequest & { readonly deps: HostDeps; readonly onClosed?: () => void },
): HostDoor {
  return new Door(request, request.deps, request.onClosed);
}

class Door implements HostDoor {
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

  async close(): Promise<void> {
    this.shut("cancelled");
    await Promise.allSettled(this.underWay);
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
    const { record, run } = this.work(call);
    this.records.push(record);
    try {
      const names = secretsOf(this.request.plan);
      return await withSecrets(this.deps.secrets, { names, ...this.request.caller, signal }, run);
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
  private work(call: HostCall): Work {
    const { plan, limits, action, deadline } = this.request;
    const { http, fs, database, mail, queue, storage } = this.deps.brokers;
    const { signal } = this.controller;
    const common = { limits, action, deadline, signal };
    switch (plan.kind) {
      case "http": {
        const record = httpRecord(plan);
        const timeoutMs = call.kind === "http.request" ? call.timeoutMs : 0;
        const run = async (): Promise<HostAnswer> => ({
          kind: "http.request",
          ok: await http.perform({ plan, action, limits, timeoutMs, signal, record }),
        });
        return { record, run };
      }
      case "fs": {
        const record = fsRecord(plan);
        return { record, run: () => fs.perform({ plan, limits, signal, record }) };
      }
      case "database":
        return workOf(database, { ...common, plan, record: databaseRecord(plan) });
      case "mail":
        return workOf(mail, { ...common, plan, record: mailRecord(plan) });
      case "queue":
        return workOf(queue, { ...common, plan, record: queueRecord(plan) });
      case "storage":
        return workOf(storage, { ...common, plan, record: storageRecord(plan) });
    }
  }
}

function workOf<K extends Exclude<PlanKind, "http" | "fs">>(
  broker: Broker<K> | null,
  job: Omit<BrokerJob<K>, "secrets"> & { readonly record: OpenRecord },
): Work {
  const run = async (secrets: OpenSecrets): Promise<HostAnswer> => {
    if (broker === null) throw new HostFailure("not_granted", "no broker for this plan");
    return broker.perform({ ...job, secrets });
  };
  return { record: job.record, run };
}

function unforeseen(record: OpenRecord): HostErrorCode {
  if (record.kind === "fs") return "io_error";
  return record.reached === "none" ? "connect_failed" : "connection_reset";
}
