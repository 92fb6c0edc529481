import { workerEntry } from "../core/self.ts";
import { LedgerError } from "../ledger/errors.ts";
import type { Payload } from "../ledger/store/payloads.ts";
import type { ActInput, ActName, ActResult } from "./acts/index.ts";
import type { OpenMessage, ThreadAnswer, ThreadMessage } from "./ledger-thread.ts";

interface Pending {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: LedgerError) => void;
}

export interface LedgerOptions extends Omit<OpenMessage, "kind"> {
  /** Called once when the ledger can't be written any more; the gate must stop. */
  readonly onFailure: (error: LedgerError) => void;
  /** Called with each signed checkpoint, once it is stored and mirrored. */
  readonly onCheckpoint?: (note: string) => void;
}

/** Least time between checkpoints that somebody asks for: each costs syncs, and work for witnesses. */
const DEMAND_MS = 1_000;

/**
 * The gate's side of the writer thread. An act resolves when it is durable and rejects when it is not known to be;
 * after one failure nothing is accepted any more, since the head on disk is then uncertain.
 */
export class Ledger {
  readonly log: string;
  /** Secret for keyed digests of what clients choose. */
  readonly pepper: Uint8Array;
  /** The latest time that the log had seen when it was opened, milliseconds. */
  readonly highWater: number;
  private readonly worker: Worker;
  private readonly onFailure: (error: LedgerError) => void;
  private readonly pending = new Map<number, Pending>();
  private nextId = 0;
  private readonly onCheckpoint: (note: string) => void;
  private demand: PromiseWithResolvers<string> | null = null;
  private demandedAt = Number.NEGATIVE_INFINITY;
  private failure: LedgerError | null = null;
  private groups = 0;
  private acts = 0;

  private constructor(
    worker: Worker,
    opened: Extract<ThreadAnswer, { kind: "opened" }>,
    options: LedgerOptions,
  ) {
    this.worker = worker;
    this.log = opened.log;
    this.pepper = opened.pepper;
    this.highWater = opened.highWater;
    this.onFailure = options.onFailure;
    this.onCheckpoint = options.onCheckpoint ?? (() => undefined);
    worker.onmessage = (event: MessageEvent<ThreadAnswer>) => this.receive(event.data);
    worker.onerror = (event) => this.fail(new LedgerError("ledger_failed", event.message));
  }

  static async open(options: LedgerOptions): Promise<Ledger> {
    const worker = new Worker(workerEntry("gate/ledger-thread.ts"));
    const { onFailure: _, onCheckpoint: __, ...message } = options;
    const opened = await new Promise<Extract<ThreadAnswer, { kind: "opened" }>>((resolve, reject) => {
      worker.onmessage = (event: MessageEvent<ThreadAnswer>) => {
        const answer = event.data;
        if (answer.kind === "opened") resolve(answer);
        else if (answer.kind === "failed") reject(failureOf(answer));
      };
      worker.onerror = (event) => reject(new LedgerError("ledger_failed", event.message));
      worker.postMessage({ kind: "open", ...message } satisfies ThreadMessage);
    }).catch((error: unknown) => {
      worker.terminate();
      throw error;
    });
    return new Ledger(worker, opened, options);
  }

  act<N extends ActName>(
    name: N,
    input: ActInput<N>,
    payloads: readonly Payload[] = [],
  ): Promise<ActResult<N>> {
    if (this.failure !== null) return Promise.reject(this.failure);
    const id = this.nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.pending.set(id, { resolve, reject });
    this.worker.postMessage({
      kind: "act",
      id,
      act: name,
      input: JSON.stringify(input),
      payloads,
    } satisfies ThreadMessage);
    return promise as Promise<ActResult<N>>; // the thread answers with what the named act returned
  }

  /**
   * Signs a checkpoint over all that is durable now, out of the usual rhythm. Those who ask meanwhile share it; null
   * when one was asked for less than a second ago.
   * @param now monotonic milliseconds
   */
  checkpoint(now: number): Promise<string> | null {
    if (this.failure !== null) return Promise.reject(this.failure);
    if (this.demand !== null) return this.demand.promise;
    if (now - this.demandedAt < DEMAND_MS) return null;
    this.demandedAt = now;
    this.demand = Promise.withResolvers<string>();
    this.worker.postMessage({ kind: "checkpoint" } satisfies ThreadMessage);
    return this.demand.promise;
  }

  /** Commits what waits, signs a checkpoint and closes the files. */
  async close(): Promise<string> {
    if (this.failure !== null) {
      this.worker.terminate();
      throw this.failure;
    }
    const note = await new Promise<string>((resolve, reject) => {
      this.worker.onmessage = (event: MessageEvent<ThreadAnswer>) => {
        if (event.data.kind === "closed") resolve(event.data.checkpoint);
        else {
          this.receive(event.data);
          if (this.failure !== null) reject(this.failure);
        }
      };
      this.worker.postMessage({ kind: "close" } satisfies ThreadMessage);
    });
    this.failure = new LedgerError("ledger_closed", "the ledger is closed");
    this.worker.terminate();
    return note;
  }

  get stats(): { readonly groups: number; readonly acts: number } {
    return { groups: this.groups, acts: this.acts };
  }

  private receive(answer: ThreadAnswer): void {
    if (answer.kind === "failed") this.fail(failureOf(answer));
    if (answer.kind === "checkpoint") {
      this.demand?.resolve(answer.note);
      this.demand = null;
      this.onCheckpoint(answer.note);
    }
    if (answer.kind !== "done") return;
    this.groups++;
    this.acts += answer.ids.length;
    const results = JSON.parse(answer.results) as unknown[]; // one per id, as the thread wrote them
    answer.ids.forEach((id, i) => {
      this.pending.get(id)?.resolve(results[i]);
      this.pending.delete(id);
    });
  }

  private fail(error: LedgerError): void {
    if (this.failure !== null) return;
    this.failure = error;
    for (const { reject } of this.pending.values()) reject(error);
    this.pending.clear();
    this.demand?.reject(error);
    this.onFailure(error);
  }
}

function failureOf(answer: Extract<ThreadAnswer, { kind: "failed" }>): LedgerError {
  return new LedgerError(answer.code, answer.message, answer.hint === null ? {} : { hint: answer.hint });
}
