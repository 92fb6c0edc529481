/** Calls between the decision to grant them and their receipt, so that revocation can reach each of them. */
export class RunningCalls {
  private readonly calls = new Map<string, AbortController>();
  private idle: (() => void)[] = [];
  private stopped: string | null = null;

  get size(): number {
    return this.calls.size;
  }

  /** Registers a call before its grant is asked for: a revocation that commits after the grant will find it. */
  enter(id: string): AbortSignal {
    const controller = new AbortController();
    this.calls.set(id, controller);
    if (this.stopped !== null) controller.abort(this.stopped);
    return controller.signal;
  }

  leave(id: string): void {
    this.calls.delete(id);
    if (this.calls.size > 0) return;
    for (const resolve of this.idle) resolve();
    this.idle = [];
  }

  /** Stops every call under way; each still gets its receipt. */
  abortAll(reason: string): void {
    for (const controller of this.calls.values()) controller.abort(reason);
  }

  /** As {@link abortAll}, for good: a call that is granted after this moment does nothing either. */
  stop(reason: string): void {
    this.stopped = reason;
    this.abortAll(reason);
  }

  /** Resolves when nothing runs any more. */
  drained(): Promise<void> {
    return this.calls.size === 0 ? Promise.resolve() : new Promise((resolve) => this.idle.push(resolve));
  }
}
