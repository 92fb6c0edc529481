import type { Clock } from "../core/clock.ts";
import type { RunRequest } from "./execution.ts";
import type { IngestedComponent } from "./ingest.ts";
import type { Layer } from "./lock/layers.ts";
import type { RunOutcome } from "./outcome.ts";
import type { Place } from "./place.ts";

export interface SandboxOptions {
  /** Runners that the built-in components share. A component of an operator has one of its own for each tenant. */
  readonly runners: number;
  /** Runners of operators' components together; default 8. An idle one makes room for another. */
  readonly operatorRunners?: number;
  /**
   * Command line of this program, up to its subcommand, with absolute paths: `[process.execPath]` for the compiled
   * binary, `[bun, "/…/src/main.ts"]` otherwise. `__runner` and its mode are added to it.
   */
  readonly self: readonly string[];
  /** Calls that one runner has at a time, those that wait for the host included. */
  readonly maxInFlight: number;
  /** Those of them that do not wait for the host; default 32. */
  readonly maxRunning?: number;
  /**
   * Calls that wait per group of runners; one more gets no place, nor does one of a tenant that has taken its share:
   * eight for each place that is still free.
   */
  readonly queueLimit: number;
  /** Calls after which a runner is replaced; default 100,000. */
  readonly recycleAfter?: number;
  /** How long a runner may compute without a word before new calls go elsewhere; default 50 ms. */
  readonly stallMs?: number;
  /** Whether runners may go on without a layer of their lock; default false. */
  readonly allowUnlocked?: boolean;
  /** Added to the runners' environment, which has nothing of the gate's own. */
  readonly env?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
  /** Default 10,000 ms. */
  readonly startTimeoutMs?: number;
  /** How long a runner may take to let go of a cancelled call before it is killed; default 50 ms. */
  readonly cancelGraceMs?: number;
  /** How long a runner of an operator's component stays without a call; default 60,000 ms. */
  readonly idleMs?: number;
  /**
   * How long a runner of an operator's component that is never idle stays while others wait for one; default
   * 1,000 ms. It ends with the last call that it has then.
   */
  readonly turnMs?: number;
  /** Told why a runner ended while the sandbox was open. */
  readonly onLost?: (detail: string) => void;
}

export interface Sandbox {
  /** Makes a component known; a second time changes nothing. */
  register(component: IngestedComponent): void;
  /** A place for one call of a component for a tenant; null when as many wait as may. To be disposed of, also after `run`. */
  reserve(digest: string, tenant: string): Place | null;
  /**
   * Takes a place, and puts the call there. Never rejects for what a component or a runner does. Throws
   * `component_unknown` and `sandbox_closed`.
   */
  run(request: RunRequest, place: Place): Promise<RunOutcome>;
  stats(): SandboxStats;
  /** Ends every call as cancelled and every runner; resolves when their processes are gone. */
  close(): Promise<void>;
}

export interface SandboxStats {
  readonly runners: readonly RunnerStats[];
  /** Runners that ended while the sandbox was open, of which none was replaced in the ordinary way. */
  readonly lost: number;
  /** Runners that were replaced in the ordinary way. */
  readonly retired: number;
  /** Host calls that came for calls which were over, and were refused. */
  readonly refusedHostCalls: number;
  /** Layers of the lock that are not in force in some runner; empty unless that is allowed. */
  readonly missingLayers: readonly Layer[];
}

export interface RunnerStats {
  readonly pid: number;
  /** `builtin`, the digest of an operator's component, or `spare`. */
  readonly group: string;
  readonly tenant: string | null;
  readonly inFlight: number;
  /** Calls in flight that do not wait for the host. */
  readonly running: number;
  readonly queued: number;
}
