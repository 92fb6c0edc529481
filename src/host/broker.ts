import type { EffectOf } from "../core/effect.ts";
import type { HostAnswer } from "../core/host-call.ts";
import type { CallLimits, ExactPlan, PlanOf } from "../core/plan.ts";
import type { OpenSecrets } from "../core/secrets.ts";
import type { FsBroker } from "./fs/broker.ts";
import type { HttpBroker } from "./http/broker.ts";
import type { Writable } from "./record.ts";

export type ExactKind = ExactPlan["kind"];

/** One planned effect, to be carried out once. */
export interface BrokerJob<K extends ExactKind> {
  readonly plan: PlanOf<K>;
  /** Action id. */
  readonly action: string;
  readonly limits: CallLimits;
  /** Aborts at the deadline, with a `HostFailure` as its reason; nothing may happen after. */
  readonly signal: AbortSignal;
  /** Monotonic milliseconds of the host's clock. */
  readonly deadline: number;
  /** To be kept current throughout: it is evidence, however the work ends. */
  readonly record: Writable<EffectOf<K>>;
  /** The secrets that the plan names, for storage with the proxy's login, and no other; released by the door. */
  readonly secrets: OpenSecrets;
  /** Whose they are: a connection that somebody has logged in with serves nobody else. */
  readonly owner: string;
}

export interface Broker<K extends ExactKind> {
  /**
   * Performs a plan: what is sent is taken from the plan. Resolves or rejects when nothing more can happen; throws
   * `HostFailure`, or the signal's reason.
   */
  perform(job: BrokerJob<K>): Promise<HostAnswer>;
  /** Ends every connection. */
  close(): Promise<void>;
}

/** The brokers of a gate by kind of plan; null where there is none, and then no such plan is performed. */
export interface Brokers {
  readonly http: HttpBroker;
  readonly fs: FsBroker;
  readonly database: Broker<"database"> | null;
  readonly mail: Broker<"mail"> | null;
  readonly queue: Broker<"queue"> | null;
  readonly storage: Broker<"storage"> | null;
}
