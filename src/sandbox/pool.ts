import { type Clock, systemClock } from "../core/clock.ts";
import { LatchGateError } from "../core/errors.ts";
import { Execution, type RunRequest } from "./execution.ts";
import { type GroupLimits, RunnerGroup } from "./group.ts";
import type { IngestedComponent } from "./ingest.ts";
import { OperatorGroups } from "./operator-groups.ts";
import type { RunOutcome } from "./outcome.ts";
import { Place } from "./place.ts";
import type { RunnerProcess } from "./runner-process.ts";
import { RunnerSupply } from "./runner-supply.ts";
import type { RunnerStats, Sandbox, SandboxOptions, SandboxStats } from "./sandbox.ts";

/** Starts the runners and resolves when every one of them is ready. Throws `runner_start_failed` and `sandbox_layer_missing`. */
export async function createSandbox(options: SandboxOptions): Promise<Sandbox> {
  const pool = new Pool(options);
  try {
    await pool.start();
  } catch (cause) {
    await pool.close();
    if (cause instanceof LatchGateError && cause.code === "sandbox_layer_missing") throw cause;
    throw new LatchGateError("runner_start_failed", "the sandbox cannot start its runners", { cause });
  }
  return pool;
}

const BUILTIN = "builtin";

class Pool implements Sandbox {
  private readonly options: SandboxOptions;
  private readonly limits: GroupLimits;
  private readonly clock: Clock;
  private readonly builtin: RunnerGroup;
  private readonly operators: OperatorGroups;
  private readonly components = new Map<string, IngestedComponent>();
  private readonly executions = new Set<Execution>();
  private readonly supply: RunnerSupply;
  private stallTimer: ReturnType<typeof setTimeout> | null = null;
  private waking = false;
  private lostCount = 0;
  private retiredCount = 0;
  private refusedCount = 0;
  private closed = false;

  constructor(options: SandboxOptions) {
    this.options = options;
    this.clock = options.clock ?? systemClock;
    this.limits = {
      maxInFlight: options.maxInFlight,
      maxRunning: options.maxRunning ?? 32,
      stallMs: options.stallMs ?? 50,
      recycleAfter: options.recycleAfter ?? 100_000,
      queueLimit: options.queueLimit,
    };
    this.operators = new OperatorGroups(
      {
        runners: options.operatorRunners ?? 8,
        idleMs: options.idleMs ?? 60_000,
        turnMs: options.turnMs ?? 1_000,
      },
      this.limits,
      () => this.clock.monotonic(),
    );
    const runner = {
      self: options.self,
      env: options.env ?? {},
      allowUnlocked: options.allowUnlocked ?? false,
      startTimeoutMs: options.startTimeoutMs ?? 10_000,
      cancelGraceMs: options.cancelGraceMs ?? 50,
      now: () => this.clock.monotonic(),
      onRefused: () => {
        this.refusedCount++;
      },
    };
    this.supply = new RunnerSupply(runner, {
      onLost: (lost, detail) => this.onLost(lost, detail),
      onChange: () => this.wake(),
    });
    this.builtin = new RunnerGroup(BUILTIN, null, options.runners, this.limits);
  }

  async start(): Promise<void> {
    const first = Array.from({ length: this.builtin.size }, async () =>
      this.join(this.builtin, await this.supply.start()),
    );
    await Promise.all([...first, this.supply.startSpare()]);
  }

  register(component: IngestedComponent): void {
    if (this.components.has(component.digest)) return;
    this.components.set(component.digest, component);
    if (component.origin !== "builtin") return;
    this.builtin.components.push(component);
    for (const runner of this.builtin.runners) runner.load(component);
  }

  reserve(digest: string, tenant: string): Place | null {
    const component = this.components.get(digest);
    // Of an unknown one `run` will say so.
    const group = component === undefined ? null : this.groupFor(component, tenant);
    return group === null ? new Place(() => undefined) : group.reserve(tenant, this.clock.monotonic());
  }

  async run(request: RunRequest, place: Place): Promise<RunOutcome> {
    place[Symbol.dispose](); // nothing else happens before the call is where its place was
    if (this.closed) throw new LatchGateError("sandbox_closed", "the sandbox is closed");
    const component = this.components.get(request.digest);
    if (component === undefined)
      throw new LatchGateError("component_unknown", `no component ${request.digest} is registered`);
    const group = this.groupFor(component, request.tenant);
    const execution = new Execution(request, component, this.clock);
    this.executions.add(execution);
    execution.whenOver(() => this.executions.delete(execution));
    const ungranted = component.imports.find((name) => request.granted?.includes(name) === false);
    if (request.signal.aborted) execution.fail("cancelled", "the call was cancelled");
    else if (request.deadline <= this.clock.monotonic())
      execution.fail("deadline", "the deadline has passed");
    else if (ungranted !== undefined)
      execution.fail("import_not_granted", `the component imports ${ungranted}, which is not granted`);
    else {
      execution.whenOver(() => {
        this.executions.delete(execution);
        group.leave(execution);
      });
      group.enter(execution, this.clock.monotonic());
      this.dispatch(group);
    }
    return execution.outcome;
  }

  stats(): SandboxStats {
    const runners = this.groups().flatMap((group) =>
      [...group.runners, ...group.leaving].map((runner) => statsOf(runner, group)),
    );
    const { spare } = this.supply;
    if (spare !== null) runners.push(statsOf(spare, null));
    return {
      runners,
      lost: this.lostCount,
      retired: this.retiredCount,
      refusedHostCalls: this.refusedCount,
      missingLayers: this.supply.missingLayers(),
    };
  }

  async close(): Promise<void> {
    this.closed = true;
    if (this.stallTimer !== null) clearTimeout(this.stallTimer);
    this.operators.close();
    for (const execution of [...this.executions]) execution.fail("cancelled", "the sandbox was closed");
    await this.supply.close();
  }

  private groups(): readonly RunnerGroup[] {
    return [this.builtin, ...this.operators.all()];
  }

  /** Built-in components share runners. An operator's component shares none, and no runner serves two tenants. */
  private groupFor(component: IngestedComponent, tenant: string): RunnerGroup {
    return component.origin === "builtin" ? this.builtin : this.operators.groupFor(component, tenant);
  }

  /** Hands waiting calls to the runners that have the least to do, and sees to it that the group has its runners. */
  private dispatch(group: RunnerGroup): void {
    if (this.closed) return;
    group.release(this.clock.monotonic());
    if (group.queue.length > 0 || group === this.builtin) this.fill(group);
    while (group.queue.length > 0) {
      const now = this.clock.monotonic();
      const best = group.choose(now) ?? this.relief(group, now);
      const execution = best === null ? undefined : group.next(now);
      if (best === null || execution === undefined) break;
      this.supply.succeeded();
      best.execute(execution);
    }
    if (group.queue.length > 0) {
      if (group.runners.length === 0 && this.supply.isFailing) this.refuse(group);
      else this.lookAgain();
    }
    if (group !== this.builtin) this.operators.watchIdle(group);
  }

  /** The spare, for a group in which every runner computes: its neighbours' new calls need not wait for that. */
  private relief(group: RunnerGroup, now: number): RunnerProcess | null {
    if (this.supply.spare === null || group.runners.length > group.size || !group.isStalled(now)) return null;
    if (group !== this.builtin && !this.operators.hasRoom(group)) return null;
    const spare = this.supply.takeSpare();
    if (spare !== null) this.join(group, spare);
    return spare;
  }

  /** That a runner has stalled makes no event; while calls wait it is looked at from time to time. */
  private lookAgain(): void {
    this.stallTimer ??= setTimeout(() => {
      this.stallTimer = null;
      this.wake();
    }, this.limits.stallMs);
  }

  private fill(group: RunnerGroup): void {
    while (group.runners.length + group.starting < group.size) {
      if (group !== this.builtin && !this.operators.hasRoom(group)) return;
      const spare = this.supply.takeSpare();
      if (spare !== null) {
        this.join(group, spare);
        continue;
      }
      // While starts fail, one retry at a time is enough.
      if (this.supply.isFailing) break;
      group.starting++;
      void this.supply.start().then(
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
    this.supply.keepSpare();
  }

  private join(group: RunnerGroup, runner: RunnerProcess): void {
    if (runner.isLost) return;
    for (const component of group.components) runner.load(component);
    runner.onFree = () => {
      this.dispatch(group);
      // Room for a group that has none may be here now.
      if (group !== this.builtin && group.isIdle) this.wake();
    };
    group.add(runner, this.clock.monotonic());
  }

  /** After what is under way: runners also end in the middle of a dispatch. */
  private wakeSoon(): void {
    if (this.waking) return;
    this.waking = true;
    queueMicrotask(() => {
      this.waking = false;
      this.wake();
    });
  }

  private wake(): void {
    this.dispatch(this.builtin);
    for (const group of this.operators.inTurn()) this.dispatch(group);
  }

  /** Without a runner and without one on its way, waiting would only turn a clear answer into a late one. */
  private refuse(group: RunnerGroup): void {
    if (group.runners.length > 0 || group.starting > 0) return;
    for (const execution of group.queue.items())
      execution.lost(`no runner could be started: ${this.supply.lastFailure}`);
  }

  private onLost(runner: RunnerProcess, detail: string): void {
    if (this.closed) return;
    if (runner.isRetired) this.retiredCount++;
    else {
      this.lostCount++;
      this.options.onLost?.(detail);
    }
    const had = this.groups().filter((group) => group.remove(runner));
    // Where an operator's runner was there is room now, for the group that has waited longest.
    if (had.length > 0) this.wakeSoon();
  }
}

function statsOf(runner: RunnerProcess, group: RunnerGroup | null): RunnerStats {
  return {
    pid: runner.pid,
    group: group?.name ?? "spare",
    tenant: group?.tenant ?? null,
    inFlight: runner.inFlight,
    running: runner.running,
    queued: group?.queue.length ?? 0,
  };
}
