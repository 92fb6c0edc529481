import type { Clock } from "../core/clock.ts";
import type { HostErrorCode, ObservedEffect } from "../core/effect.ts";
import type { HostAnswer, HostCall, HostDoor, HttpAnswer } from "../core/host-call.ts";
import type { Json } from "../core/json.ts";
import {
  type CallLimits,
  type ExactPlan,
  type HttpPlan,
  type Plan,
  requiredSecretsOf,
  secretsOf,
} from "../core/plan.ts";
import type { SecretSource } from "../core/secrets.ts";
import type { Broker, BrokerJob, Brokers, ExactKind } from "./broker.ts";
import { type Opened, openSecrets } from "./credentials/open.ts";
import { sensitiveValues } from "./credentials/values.ts";
import { requestInside } from "./envelope.ts";
import { failureOf, HostFailure } from "./failure.ts";
import type { HttpJob, JobCredentials } from "./http/broker.ts";
import { readBackRequest, readBackUrl } from "./http/read-back.ts";
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
import type { Automata } from "./scrub/automata.ts";
import type { Scrubber } from "./scrub/scrubber.ts";
import { Scrubbers } from "./scrub/scrubbers.ts";

/** What doors share; made once per gate by `createHost`. */
export interface HostDeps {
  readonly clock: Clock;
  readonly brokers: Brokers;
  /** Null when the gate has no secrets. */
  readonly secrets: SecretSource | null;
  /** What looks for their values. */
  readonly automata: Automata;
  /** Name of the secret with the login of the egress proxy; null without one. */
  readonly proxySecret: string | null;
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
  /** Names of the secrets that policy granted. */
  readonly secrets: readonly string[];
}

/** The door as the gate holds it. */
export interface GuardedDoor extends HostDoor {
  /**
   * What a component says, with every form of the credentials that this door has used taken out of its texts. Before
   * `close` alone: afterwards the door knows no credential any more, and rejects.
   */
  scrub(output: Json): Promise<Json>;
  /** The same for one line of a component's log; `cut` says that its end is missing. */
  scrubLine(line: string, cut: boolean): string;
  /**
   * One GET of the plan's read-back, after the effect has been confirmed: its answer, or the code of what kept it from
   * coming. It counts as a host call and leaves an effect of its own.
   */
  readBack(): Promise<HttpAnswer | HostErrorCode>;
  /** In how many places a credential has been taken out so far, answers and `scrub` together. */
  redactions(): number;
}

/** What one admitted call does, with the record that it keeps. */
interface Work {
  readonly record: OpenRecord;
  readonly run: (opened: Opened, scrubber: Scrubber | null) => Promise<HostAnswer>;
}

/** Longest time that a timer takes. */
const LONGEST_TIMER = 0x7fffffff;

/**
 * Makes the door of one granted call. It performs an exact plan once, when asked for exactly that, and the requests
 * that lie inside of an envelope, as many as it allows. It answers anything else with a stable code. `onClosed` runs
 * when the door has closed for good.
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
  private readonly underWay = new Set<Promise<unknown>>();
  private readonly timer: ReturnType<typeof setTimeout>;
  private readonly onAbort = () => this.shut("cancelled");
  private calls = 0;
  private used = false;
  private readonly scrubbers = new Scrubbers();
  /** Body of the answer to the effect, where a read-back may need values of it. */
  private answered: Uint8Array | null = null;

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
    return this.tracked(this.answer(call));
  }

  readBack(): Promise<HttpAnswer | HostErrorCode> {
    return this.tracked(this.look());
  }

  private tracked<T>(work: Promise<T>): Promise<T> {
    this.underWay.add(work);
    return work.finally(() => this.underWay.delete(work));
  }

  effects(): readonly ObservedEffect[] {
    return this.records.map((record) => ({ ...record }));
  }

  async scrub(output: Json): Promise<Json> {
    return this.scrubbers.json(output);
  }

  scrubLine(line: string, cut: boolean): string {
    return this.scrubbers.line(line, cut);
  }

  redactions(): number {
    return this.scrubbers.hits;
  }

  async close(): Promise<void> {
    this.shut("cancelled");
    await Promise.allSettled(this.underWay);
    this.scrubbers.release();
    this.onClosed?.();
  }

  private shut(code: "cancelled" | "deadline"): void {
    clearTimeout(this.timer);
    this.request.signal.removeEventListener("abort", this.onAbort);
    this.controller.abort(new HostFailure(code, "the call is over"));
  }

  /** Why nothing happens any more; null while something may. */
  private over(): HostErrorCode | null {
    // The timer may be late when the loop was busy; the clock is not.
    if (this.deps.clock.monotonic() >= this.request.deadline) this.shut("deadline");
    const { signal } = this.controller;
    return signal.aborted ? failureOf(signal.reason, "cancelled").code : null;
  }

  private async look(): Promise<HttpAnswer | HostErrorCode> {
    const over = this.over();
    if (over !== null) return over;
    const { plan, limits, action } = this.request;
    const { answered } = this;
    if (plan.kind !== "http" || plan.readBack === null || answered === null) return "not_granted";
    this.calls += 1;
    if (this.calls > limits.ioCalls) return "io_budget_exceeded";
    const { signal } = this.controller;
    const asked = readBackRequest(plan, plan.readBack);
    let record = httpRecord(asked, "read_back");
    const at = this.records.push(record) - 1;
    try {
      const request = { ...asked, url: readBackUrl(plan.readBack, answered) };
      record = httpRecord(request, "read_back");
      this.records[at] = record;
      return await this.withSecrets(request, signal, (opened, scrubber) => {
        const credentials = this.credentials(request, opened, scrubber);
        return this.exchange({ plan: request, action, limits, timeoutMs: 0, signal, record, credentials });
      });
    } catch (thrown) {
      record.error = failureOf(thrown, unforeseen(record)).code;
      return record.error;
    }
  }

  private async answer(call: HostCall): Promise<HostAnswer> {
    const over = this.over();
    if (over !== null) return { kind: call.kind, err: over };
    const { signal } = this.controller;
    const granted = this.admitted(call);
    if (typeof granted === "string") {
      // A component may ask for ever: beyond the budget only the first refusal is kept.
      if (this.calls <= this.most + 1) this.records.push(refusalOf(this.request.plan, granted));
      return { kind: call.kind, err: granted };
    }
    this.used = true;
    const { record, run } = this.work(call, granted);
    this.records.push(record);
    try {
      return await this.withSecrets(this.request.plan, signal, run);
    } catch (thrown) {
      const failure = failureOf(thrown, unforeseen(record));
      record.error = failure.code;
      return { kind: call.kind, err: failure.code };
    }
  }

  /**
   * Values are open for the length of one effect; what searches for them stays until the door closes. Each answer is
   * searched for all that the plan names: of several hosts one may have learned what another was told.
   */
  private async withSecrets<T>(
    plan: Plan,
    signal: AbortSignal,
    run: (opened: Opened, scrubber: Scrubber | null) => Promise<T>,
  ): Promise<T> {
    const { caller, secrets: granted } = this.request;
    const { kind } = plan;
    const dials = kind === "http" || kind === "storage" || kind === "envelope";
    const login = dials ? this.deps.proxySecret : null;
    const own = login === null ? [] : [login];
    const wanted = { required: requiredSecretsOf(plan), all: secretsOf(plan), granted, own };
    const opened = await openSecrets(this.deps.secrets, wanted, caller, signal);
    try {
      const values = sensitiveValues(plan, own, opened);
      const held = values.length > 0 ? await this.deps.automata.hold(values) : null;
      if (signal.aborted) {
        held?.release();
        throw signal.reason;
      }
      return await run(opened, held === null ? null : this.scrubbers.of(held));
    } finally {
      opened.secrets.release();
    }
  }

  /** Most host calls. */
  private get most(): number {
    const { plan, limits } = this.request;
    return plan.kind === "envelope" ? Math.min(plan.calls, limits.ioCalls) : limits.ioCalls;
  }

  /** The one effect that a call is granted, or why it is granted none. */
  private admitted(call: HostCall): ExactPlan | HostErrorCode {
    const { plan } = this.request;
    this.calls += 1;
    if (this.calls > this.most) return "io_budget_exceeded";
    if (plan.kind === "envelope") return requestInside(call, plan);
    if (!equalsPlan(call, plan)) return "differs_from_plan";
    // An exact plan is one effect. Also after a failure: what may have been reached must not be reached twice.
    if (this.used) return "not_granted";
    return plan;
  }

  /** What is sent and written is taken from what is granted, never from the call. */
  private work(call: HostCall, plan: ExactPlan): Work {
    const { limits, action, deadline } = this.request;
    const { fs, database, mail, queue, storage } = this.deps.brokers;
    const { signal } = this.controller;
    const common = { limits, action, deadline, signal, owner: this.owner };
    switch (plan.kind) {
      case "http": {
        const record = httpRecord(plan);
        const timeoutMs = call.kind === "http.request" ? call.timeoutMs : 0;
        const plainLocal = this.request.plan.kind === "envelope";
        const run = async (opened: Opened, scrubber: Scrubber | null): Promise<HostAnswer> => {
          const credentials = this.credentials(plan, opened, scrubber);
          const job = { plan, action, limits, timeoutMs, signal, record, credentials, plainLocal };
          const ok = await this.exchange(job);
          if (plan.readBack !== null) this.answered = ok.body;
          return { kind: "http.request", ok };
        };
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

  private async exchange(job: HttpJob): Promise<HttpAnswer> {
    const { record, credentials } = job;
    const before = credentials?.scrubber.hits ?? 0;
    try {
      return await this.deps.brokers.http.perform(job);
    } finally {
      record.scrubbed = (credentials?.scrubber.hits ?? 0) - before;
    }
  }

  private credentials(
    plan: HttpPlan,
    { names, secrets }: Opened,
    scrubber: Scrubber | null,
  ): JobCredentials | null {
    if (scrubber === null) return null;
    const bindings = plan.secrets.filter(({ secret }) => names.has(secret));
    return { bindings, secrets, scrubber, owner: this.owner };
  }

  private get owner(): string {
    const { tenant, principal } = this.request.caller;
    return JSON.stringify([tenant, principal]);
  }
}

function workOf<K extends Exclude<ExactKind, "http" | "fs">>(
  broker: Broker<K> | null,
  job: Omit<BrokerJob<K>, "secrets"> & { readonly record: OpenRecord },
): Work {
  const run = async ({ secrets }: Opened): Promise<HostAnswer> => {
    if (broker === null) throw new HostFailure("not_granted", "no broker for this plan");
    return broker.perform({ ...job, secrets });
  };
  return { record: job.record, run };
}

function unforeseen(record: OpenRecord): HostErrorCode {
  if (record.kind === "fs") return "io_error";
  return record.reached === "none" ? "connect_failed" : "connection_reset";
}
