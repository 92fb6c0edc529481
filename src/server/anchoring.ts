import { messageOf } from "../core/errors.ts";

/** A witness or a time-stamp authority, as the gate asks it to sign checkpoints. */
export interface AnchorParty {
  /** For the operator: what it is, and its name. */
  readonly title: string;
  /**
   * Has it sign the newest checkpoint, unless it has. Gives whether there may be more to do: false when there is nothing,
   * or it did not sign. Rejects on a fault of the gate's own. Nothing is recorded any more once `closed` says so.
   */
  step(closed: () => boolean): Promise<boolean>;
}

/**
 * Submits each checkpoint to every party, one submission at a time for each; of those that come meanwhile only the
 * newest. What fails is tried again with the next checkpoint, and on the clock.
 */
export class Anchoring {
  private readonly parties: readonly AnchorParty[];
  private readonly report: (line: string) => void;
  private readonly busy = new Map<AnchorParty, Promise<void>>();
  private readonly timer: NodeJS.Timeout;
  private closed = false;

  constructor(parties: readonly AnchorParty[], everyMs: number, report: (line: string) => void) {
    this.parties = parties;
    this.report = report;
    this.timer = setInterval(() => this.submit(), everyMs);
    this.submit();
  }

  /** Looks for checkpoints that a party has not signed yet. */
  submit(): void {
    if (this.closed) return;
    for (const party of this.parties)
      if (!this.busy.has(party)) {
        const work = this.catchUp(party)
          .catch((error: unknown) => this.report(`${party.title}: ${messageOf(error)}`))
          .finally(() => this.busy.delete(party));
        this.busy.set(party, work);
      }
  }

  /** Until this party has signed the newest checkpoint, or does not. */
  private async catchUp(party: AnchorParty): Promise<void> {
    while (!this.closed && (await party.step(() => this.closed)));
  }

  /** At a clean end: the newest checkpoint goes to every witness once more, and they have that long to answer. */
  async finish(graceMs: number): Promise<void> {
    clearInterval(this.timer);
    this.submit();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, graceMs);
    await Promise.race([Promise.all(this.busy.values()), late.promise]);
    clearTimeout(timer);
    this.closed = true;
  }

  /** Waits for what is under way; nothing is submitted any more. */
  async close(): Promise<void> {
    this.closed = true;
    clearInterval(this.timer);
    await Promise.all(this.busy.values());
  }
}
