import { type Clock, systemClock } from "../core/clock.ts";
import { LatchGateError } from "../core/errors.ts";
import { Execution, type RunRequest } from "./execution.ts";
import type { IngestedComponent } from "./ingest.ts";
import type { RunOutcome } from "./outcome.ts";
import { type RunnerOptions, RunnerProcess } from "./runner-process.ts";

export interface SandboxOptions {
  /** Runners that the built-in components share. Each component of an operator has one runner of its own. */
  readonly runners: number;
  /**
   * Command line of this program, up to its subcommand, with absolute paths: `[process.execPath]` for the compiled
   * binary, `[bun, "/…/src/main.ts"]` otherwise. `__runner` is added to it.
   */
  readonly self: readonly string[];
  /** Calls that one runner has at a time. */
  readonly maxInFlight: number;
  /** Calls that wait per group of runners; one more is refused as overloaded. */
  readonly queueLimit: number;
  /** Added to the runners' environment, which has nothing of the gate's own. */
  readonly env?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
  /** Default 10,000 ms. */
  readonly startTimeoutMs?: number;
  /** How long a runner may take to let go of a cancelled call before it is killed; default 50 ms. */
  readonly cancelGraceMs?: number;
}

export interface Sandbox {
  /** Makes a component known; a second time changes nothing. */
  register(component: IngestedComponent): void;
  /** Never rejects for what a component or a runner does. Throws `component_unknown` and `sandbox_closed`. */
  run(request: RunRequest): Promise<RunOutcome>;
  stats(): SandboxStats;
  /** Ends every call as cancelled and every runner; resolves when their processes are gone. */
  close(): Promise<void>;
}

export interface SandboxStats {
  readonly runners: readonly RunnerStats[];
  /** Runners that ended while the sandbox was open. */
  readonly lost: number;
}

export interface RunnerStats {
  readonly pid: number;
  /** `builtin`, the digest of an operator's component, or `spare`. */
  readonly group: string;
  readonly inFlight: number;
  readonly queued: number;
}

/** Starts the runners and resolves when every one of them is ready. Throws `runner_start_failed`. */
export async function createSandbox(options: SandboxOptions): Promise<Sandbox> {
  const pool = new Pool(options);
  try {
    await pool.start();
  } catch (cause) {
    await pool.close();
    throw new LatchGateError("runner_start_failed", "the sandbox cannot start its runners", { cause });
  }
  return pool;
}

interface Group {
  readonly name: string;
  readonly size: number;
  readonly components: IngestedComponent[];
  /** Runners that are ready. */
  readonly runners: RunnerProcess[];
  /** Runners that are on their way. */
  starting: number;
  queue: Execution[];
}

const BUILTIN = "builtin";
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;

class Pool implements Sandbox {
  private readonly options: SandboxOptions;
  private readonly runnerOptions: RunnerOptions;
  private readonly clock: Clock;
  private readonly groups = new Map<string, Group>();
  private readonly components = new Map<
    string,
    { readonly component: IngestedComponent; readonly group: Group }
  >();
  private readonly executions = new Set<Execution>();
  /** Every process that has not been seen to end. */
  private readonly processes = new Set<RunnerProcess>();
  /** Ready, and with nothing loaded. */
  private spare: RunnerProcess | null = null;
  private spareStarting = false;
  private failedStarts = 0;
  private lastFailure = "";
  private retry: ReturnType<typeof setTimeout> | null = null;
  private lostCount = 0;
  private closed = false;

  constructor(options: SandboxOptions) {
    this.options = options;
    this.clock = options.clock ?? systemClock;
    this.runnerOptions = {
      self: options.self,
      env: options.env ?? {},
      startTimeoutMs: options.startTimeoutMs ?? 10_000,
      cancelGraceMs: options.cancelGraceMs ?? 50,
    };
    this.group(BUILTIN, options.runners);
  }

  async start(): Promise<void> {
    const builtin = this.group(BUILTIN, this.options.runners);
    const first = Array.from({ length: builtin.size }, async () => this.join(builtin, await this.spawned()));
    await Promise.all([...first, this.spawned().then((runner) => this.keep(runner))]);
  }

  register(component: IngestedComponent): void {
    if (this.components.has(component.digest)) return;
    const group =
      component.origin === "builtin"
        ? this.group(BUILTIN, this.options.runners)
        : this.group(component.digest, 1);
    group.components.push(component);
    this.components.set(component.digest, { component, group });
    for (const runner of group.runners) runner.load(component);
  }

  async run(request: RunRequest): Promise<RunOutcome> {
    if (this.closed) throw new LatchGateError("sandbox_closed", "the sandbox is closed");
    const known = this.components.get(request.digest);
    if (known === undefined)
      throw new LatchGateError("component_unknown", `no component ${request.digest} is registered`);
    const { component, group } = known;
    const idle = group.runners.some((runner) => runner.inFlight < this.options.maxInFlight);
    if (!idle && group.queue.length >= this.options.queueLimit) return { status: "overloaded" };

    const execution = new Execution(request, component, this.clock);
    this.executions.add(execution);
    execution.whenOver(() => {
      this.executions.delete(execution);
      const waiting = group.queue.indexOf(execution);
      if (waiting >= 0) group.queue.splice(waiting, 1);
    });
    const ungranted = component.imports.find((name) => request.granted?.includes(name) === false);
    if (request.signal.aborted) execution.fail("cancelled", "the call was cancelled");
    else if (request.deadline <= this.clock.monotonic())
      execution.fail("deadline", "the deadline has passed");
    else if (ungranted !== undefined)
      execution.fail(
        "import_not_granted",
        `the component imports ${ungranted}, which is not granted to this action`,
      );
    else {
      group.queue.push(execution);
      this.dispatch(group);
    }
    return execution.outcome;
  }

  stats(): SandboxStats {
    const of = (group: string, queued: number) => (runner: RunnerProcess) => ({
      pid: runner.pid,
      group,
      inFlight: runner.inFlight,
      queued,
    });
    const runners = [...this.groups.values()].flatMap((group) =>
      group.runners.map(of(group.name, group.queue.length)),
    );
    if (this.spare !== null) runners.push(of("spare", 0)(this.spare));
    return { runners, lost: this.lostCount };
  }

  async close(): Promise<void> {
    this.closed = true;
    if (this.retry !== null) clearTimeout(this.retry);
    for (const execution of [...this.executions]) execution.fail("cancelled", "the sandbox was closed");
    const ending = [...this.processes];
    for (const runner of ending) runner.lose("the sandbox was closed");
    await Promise.all(ending.map((runner) => runner.exited));
  }

  private group(name: string, size: number): Group {
    const known = this.groups.get(name);
    if (known !== undefined) return known;
    const group: Group = { name, size, components: [], runners: [], starting: 0, queue: [] };
    this.groups.set(name, group);
    return group;
  }

  /** Hands waiting calls to the runners with the most room, and sees to it that the group has its runners. */
  private dispatch(group: Group): void {
    if (this.closed) return;
    if (group.queue.length > 0 || group.name === BUILTIN) this.fill(group);
    while (group.queue.length > 0) {
      let best: RunnerProcess | null = null;
      for (const runner of group.runners)
        if (runner.inFlight < this.options.maxInFlight && (best === null || runner.inFlight < best.inFlight))
          best = runner;
      if (best === null) break;
      const execution = group.queue.shift();
      if (execution === undefined) break;
      this.failedStarts = 0;
      best.execute(execution);
    }
    if (group.runners.length === 0 && this.retry !== null) this.refuse(group);
  }

  private fill(group: Group): void {
    while (group.runners.length + group.starting < group.size) {
      const { spare } = this;
      if (spare !== null) {
        this.spare = null;
        this.join(group, spare);
        continue;
      }
      // While starts fail, one retry at a time is enough.
      if (this.retry !== null) break;
      group.starting++;
      void this.spawned().then(
        (runner) => {
          group.starting--;
          this.join(group, runner);
          this.dispatch(group);
        },
        () => {
          group.starting--;
          this.refuse(group);
        },
      );
    }
    this.keepSpare();
  }

  private join(group: Group, runner: RunnerProcess): void {
    if (runner.isLost) return;
    for (const component of group.components) runner.load(component);
    runner.onFree = () => this.dispatch(group);
    group.runners.push(runner);
  }

  private keep(runner: RunnerProcess): void {
    if (this.spare === null && !runner.isLost) this.spare = runner;
    else runner.lose("one spare runner is enough");
  }

  private keepSpare(): void {
    if (this.spare !== null || this.spareStarting || this.retry !== null || this.closed) return;
    this.spareStarting = true;
    void this.spawned().then(
      (runner) => {
        this.spareStarting = false;
        this.keep(runner);
        this.wake();
      },
      () => {
        this.spareStarting = false;
      },
    );
  }

  /** A runner that has said hello. After a failed start the next one waits, longer each time. */
  private async spawned(): Promise<RunnerProcess> {
    const runner = new RunnerProcess(this.runnerOptions, (lost, detail) => this.onLost(lost, detail));
    this.processes.add(runner);
    void runner.exited.then(() => this.processes.delete(runner));
    try {
      await runner.ready;
    } catch (error) {
      this.startFailed(error instanceof Error ? error.message : String(error));
      throw error;
    }
    return runner;
  }

  private startFailed(detail: string): void {
    this.lastFailure = detail;
    if (this.closed || this.retry !== null) return;
    const delay = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(this.failedStarts++, 10));
    this.retry = setTimeout(() => {
      this.retry = null;
      this.wake();
    }, delay);
  }

  private wake(): void {
    for (const group of this.groups.values()) this.dispatch(group);
  }

  /** Without a runner and without one on its way, waiting would only turn a clear answer into a late one. */
  private refuse(group: Group): void {
    if (group.runners.length > 0 || group.starting > 0) return;
    for (const execution of [...group.queue])
      execution.lost(`no runner could be started: ${this.lastFailure}`);
  }

  private onLost(runner: RunnerProcess, detail: string): void {
    if (this.closed) return;
    this.lostCount++;
    // Ended with nothing to do: no call is to blame, and starting the next one at once could go on for ever.
    if (runner.isUnused) this.startFailed(detail);
    if (this.spare === runner) this.spare = null;
    for (const group of this.groups.values()) {
      const at = group.runners.indexOf(runner);
      if (at < 0) continue;
      group.runners.splice(at, 1);
      this.dispatch(group);
    }
    this.keepSpare();
  }
}
