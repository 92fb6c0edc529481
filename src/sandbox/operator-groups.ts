import { type GroupLimits, RunnerGroup } from "./group.ts";
import type { IngestedComponent } from "./ingest.ts";

export interface OperatorLimits {
  /** Runners of all groups together. */
  readonly runners: number;
  /** How long a group stays without a call, milliseconds. */
  readonly idleMs: number;
  /** How long a group that is never idle has its runner while others wait for one, milliseconds. */
  readonly turnMs: number;
}

/** The groups of operators' components, by digest and tenant, and which of them have runners: there are only so many. */
export class OperatorGroups {
  private readonly groups = new Map<string, RunnerGroup>();
  private readonly idleTimers = new Map<RunnerGroup, ReturnType<typeof setTimeout>>();
  private readonly limits: OperatorLimits;
  private readonly group: GroupLimits;
  private readonly now: () => number;

  /** @param now monotonic, milliseconds */
  constructor(limits: OperatorLimits, group: GroupLimits, now: () => number) {
    this.limits = limits;
    this.group = group;
    this.now = now;
  }

  all(): readonly RunnerGroup[] {
    return [...this.groups.values()];
  }

  /** Those that have waited longest for a runner come first. */
  inTurn(): readonly RunnerGroup[] {
    const since = ({ wantsSince }: RunnerGroup) => wantsSince ?? Number.MAX_VALUE;
    return this.all().toSorted((a, b) => since(a) - since(b));
  }

  groupFor(component: IngestedComponent, tenant: string): RunnerGroup {
    const key = JSON.stringify([component.digest, tenant]);
    const known = this.groups.get(key);
    if (known !== undefined) return known;
    const group = new RunnerGroup(component.digest, tenant, 1, this.group);
    group.components.push(component);
    this.groups.set(key, group);
    return group;
  }

  /**
   * Whether the group may have one more runner. While others have waited longer for their first it may not. An idle
   * runner of another group makes room at once; where none is idle, one that has had its turn takes no more calls and
   * makes room with its last one, so that groups which are never idle keep nobody out.
   */
  hasRoom(wanting: RunnerGroup): boolean {
    if (wanting.runners.length === 0) wanting.wantsSince ??= this.now();
    const all = this.all();
    const since = wanting.wantsSince ?? Number.POSITIVE_INFINITY;
    if (all.some((group) => group !== wanting && group.starting === 0 && (group.wantsSince ?? since) < since))
      return false;
    // A runner of its own that is about to end does not keep it from having its next one.
    const count = all.reduce(
      (sum, group) =>
        sum + group.runners.length + group.starting + (group === wanting ? 0 : group.leaving.size),
      0,
    );
    if (count < this.limits.runners) return true;
    const idle = all.find((group) => group !== wanting && group.isIdle && group.runners.length > 0);
    if (idle !== undefined) {
      this.retire(idle);
      return true;
    }
    // One more runner for a group that has one is no reason to take another's.
    if (wanting.runners.length === 0) this.makeOneYield(wanting, all);
    return false;
  }

  /** Of the tenant that has the most runners, the group that has had its turn and has the fewest calls to end. */
  private makeOneYield(wanting: RunnerGroup, all: readonly RunnerGroup[]): void {
    if (all.some((group) => group !== wanting && group.leaving.size > 0)) return;
    const held = new Map<string | null, number>();
    for (const { tenant, runners } of all) held.set(tenant, (held.get(tenant) ?? 0) + runners.length);
    const now = this.now();
    const [first] = all
      .filter((group) => group !== wanting && group.runners.length > 0)
      .filter(({ runsSince }) => now - runsSince >= this.limits.turnMs)
      .toSorted((a, b) => (held.get(b.tenant) ?? 0) - (held.get(a.tenant) ?? 0) || a.inFlight - b.inFlight);
    first?.retireAll();
  }

  /** Ends the runners of a group when nobody has asked for it for a while. */
  watchIdle(group: RunnerGroup): void {
    clearTimeout(this.idleTimers.get(group));
    if (group.isIdle)
      this.idleTimers.set(
        group,
        setTimeout(() => this.retire(group), this.limits.idleMs),
      );
    else this.idleTimers.delete(group);
  }

  close(): void {
    for (const timer of this.idleTimers.values()) clearTimeout(timer);
  }

  private retire(group: RunnerGroup): void {
    clearTimeout(this.idleTimers.get(group));
    this.idleTimers.delete(group);
    for (const [key, known] of this.groups) if (known === group) this.groups.delete(key);
    group.retireAll();
  }
}
