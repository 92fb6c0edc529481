/** Collects what does not hold. */
export class Faults {
  readonly list: string[] = [];

  wants(holds: boolean, fault: string): void {
    if (!holds) this.list.push(fault);
  }
}
