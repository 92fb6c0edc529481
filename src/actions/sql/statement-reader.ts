import { FairQueue } from "../../core/fair-queue.ts";
import { LruMap } from "../../core/lru-map.ts";
import { workerEntry } from "../../core/self.ts";
import { type ParsedStatement, textFault } from "./statement.ts";
import type { StatementTask } from "./statement-worker.ts";

/** Statements whose reading is remembered: agents repeat theirs with other parameters. */
const KEPT = 256;
/** Statements of one tenant that may wait. */
const MOST_WAITING = 32;
/** The worst takes a tenth of a second; whatever takes this long does not end. Milliseconds. */
const LONGEST_MS = 5_000;

interface Job {
  readonly tenant: string;
  readonly key: string;
  readonly task: StatementTask;
  readonly resolve: (parsed: ParsedStatement) => void;
}

/**
 * Reads statements in a thread of its own, as PostgreSQL's parser takes tens of milliseconds for a long one and whoever
 * asks may write it. Tenants take turns. The thread starts with the first statement.
 */
export class StatementReader {
  private readonly known = new LruMap<string, ParsedStatement>(KEPT);
  private readonly queue = new FairQueue<Job>();
  private worker: Worker | null = null;
  private current: Job | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private closed = false;
  private readonly longestMs: number;

  constructor(longestMs = LONGEST_MS) {
    this.longestMs = longestMs;
  }

  /** Null when too many of the tenant's wait already. */
  async read(task: StatementTask, tenant: string): Promise<ParsedStatement | null> {
    const fault = textFault(task.text);
    if (fault !== null) return { ok: false, message: fault };
    const key = JSON.stringify([task.functions, task.text]);
    const known = this.known.get(key);
    if (known !== undefined) return known;
    if (this.closed || this.queue.lengthOf(tenant) >= MOST_WAITING) return null;
    const { promise, resolve } = Promise.withResolvers<ParsedStatement>();
    this.queue.push({ tenant, key, task, resolve });
    this.next();
    return promise;
  }

  /** Ends the thread; what waits is not read any more. */
  close(): void {
    this.closed = true;
    const waiting = this.queue.items();
    for (const job of waiting) this.queue.remove(job);
    for (const job of waiting) job.resolve(UNREAD);
    this.giveUp();
  }

  private next(): void {
    if (this.current !== null) return;
    const job = this.queue.shift();
    if (job === undefined) return;
    this.current = job;
    this.timer = setTimeout(() => this.giveUp(), this.longestMs);
    this.worker ??= this.start();
    this.worker.postMessage(job.task);
  }

  private start(): Worker {
    const worker = new Worker(workerEntry("actions/sql/statement-worker.ts"));
    worker.onmessage = ({ data }: MessageEvent<ParsedStatement>) => {
      if (worker === this.worker) this.end(data);
    };
    worker.onerror = () => {
      if (worker === this.worker) this.giveUp();
    };
    worker.unref();
    return worker;
  }

  /** The thread is beyond help; the next statement gets a fresh one. */
  private giveUp(): void {
    this.worker?.terminate();
    this.worker = null;
    this.end(null);
  }

  private end(parsed: ParsedStatement | null): void {
    const job = this.current;
    clearTimeout(this.timer);
    this.current = null;
    if (job !== null) {
      if (parsed !== null) this.known.set(job.key, parsed);
      job.resolve(parsed ?? UNREAD);
    }
    this.next();
  }
}

const UNREAD: ParsedStatement = { ok: false, message: "the statement could not be read" };
