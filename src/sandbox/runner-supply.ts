import { messageOf } from "../core/errors.ts";
import type { Layer } from "./lock/layers.ts";
import { type RunnerOptions, RunnerProcess } from "./runner-process.ts";

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;

export interface SupplyEvents {
  /** A runner ended; its calls have ended before. */
  onLost(runner: RunnerProcess, detail: string): void;
  /** There is a spare, or starting may be tried again. */
  onChange(): void;
}

/** Starts runners, and keeps a spare one that is ready and has nothing loaded. */
export class RunnerSupply {
  private readonly options: RunnerOptions;
  private readonly events: SupplyEvents;
  /** Every process that has not been seen to end. */
  private readonly processes = new Set<RunnerProcess>();
  private ready: RunnerProcess | null = null;
  private spareStarting = false;
  private failedStarts = 0;
  private failure = "";
  private retry: ReturnType<typeof setTimeout> | null = null;
  private closed = false;

  constructor(options: RunnerOptions, events: SupplyEvents) {
    this.options = options;
    this.events = events;
  }

  get spare(): RunnerProcess | null {
    return this.ready;
  }

  /** Whether the last start failed and the next one waits. */
  get isFailing(): boolean {
    return this.retry !== null;
  }

  get lastFailure(): string {
    return this.failure;
  }

  missingLayers(): readonly Layer[] {
    return [...new Set([...this.processes].flatMap(({ missing }) => missing))];
  }

  /** A runner that has said hello. After a failed start the next one waits, longer each time. */
  async start(): Promise<RunnerProcess> {
    const runner = new RunnerProcess(this.options, (lost, detail) => this.onLost(lost, detail));
    this.processes.add(runner);
    void runner.exited.then(() => this.processes.delete(runner));
    try {
      await runner.ready;
    } catch (error) {
      this.failed(messageOf(error));
      throw error;
    }
    return runner;
  }

  async startSpare(): Promise<void> {
    this.keep(await this.start());
  }

  takeSpare(): RunnerProcess | null {
    const runner = this.ready;
    this.ready = null;
    if (runner !== null) this.keepSpare();
    return runner;
  }

  /** Sees to it that there is a spare one. */
  keepSpare(): void {
    if (this.ready !== null || this.spareStarting || this.retry !== null || this.closed) return;
    this.spareStarting = true;
    void this.startSpare().then(
      () => {
        this.spareStarting = false;
        this.events.onChange();
      },
      () => {
        this.spareStarting = false;
      },
    );
  }

  /** A runner did something: the next failure is the first one again. */
  succeeded(): void {
    this.failedStarts = 0;
  }

  async close(): Promise<void> {
    this.closed = true;
    if (this.retry !== null) clearTimeout(this.retry);
    const ending = [...this.processes];
    for (const runner of ending) runner.lose("the sandbox was closed");
    await Promise.all(ending.map((runner) => runner.exited));
  }

  private keep(runner: RunnerProcess): void {
    if (this.ready === null && !runner.isLost) this.ready = runner;
    else runner.retireWhenFree();
  }

  private failed(detail: string): void {
    this.failure = detail;
    if (this.closed || this.retry !== null) return;
    const delay = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(this.failedStarts++, 10));
    this.retry = setTimeout(() => {
      this.retry = null;
      this.events.onChange();
    }, delay);
  }

  private onLost(runner: RunnerProcess, detail: string): void {
    if (this.closed) return;
    // Ended with nothing to do: no call is to blame, and starting the next one at once could go on for ever.
    if (runner.isUnused && !runner.isRetired) this.failed(detail);
    if (this.ready === runner) this.ready = null;
    this.events.onLost(runner, detail);
    this.keepSpare();
  }
}
