/** What a queue needs to know of what waits in it. */
export interface Waiting {
  readonly tenant: string;
}

/**
 * What waits, in a line for each tenant: the lines take turns, so that one tenant's thousand keep another's single
 * one waiting for as long as one, not for a thousand.
 */
export class FairQueue<T extends Waiting> {
  /** In the order of their next turns; none is empty. */
  private readonly lines = new Map<string, T[]>();
  private count = 0;

  get length(): number {
    return this.count;
  }

  push(item: T): void {
    const line = this.lines.get(item.tenant);
    if (line === undefined) this.lines.set(item.tenant, [item]);
    else line.push(item);
    this.count++;
  }

  /** The next in turn, of a tenant that may go; the rest of its line goes to the end. */
  shift(mayGo: (tenant: string) => boolean = () => true): T | undefined {
    for (const [tenant, line] of this.lines) {
      if (!mayGo(tenant)) continue;
      const item = line.shift();
      this.lines.delete(tenant);
      if (line.length > 0) this.lines.set(tenant, line);
      if (item === undefined) continue;
      this.count--;
      return item;
    }
    return undefined;
  }

  remove(item: T): void {
    const line = this.lines.get(item.tenant);
    const at = line?.indexOf(item) ?? -1;
    if (line === undefined || at < 0) return;
    line.splice(at, 1);
    if (line.length === 0) this.lines.delete(item.tenant);
    this.count--;
  }

  /** How many of this tenant's wait. */
  lengthOf(tenant: string): number {
    return this.lines.get(tenant)?.length ?? 0;
  }

  items(): readonly T[] {
    return [...this.lines.values()].flat();
  }
}
