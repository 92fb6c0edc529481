import { workerEntry } from "../../core/self.ts";
import { LedgerError } from "../errors.ts";
import type { SignatureAnswer, SignatureTask } from "./signature-worker.ts";
import { packEntries, unpackVouched, type Vouched } from "./vouch.ts";

interface Waiting {
  readonly entries: readonly string[];
  resolve(vouched: Vouched[]): void;
  reject(error: LedgerError): void;
}

/** Threads that vouch for batches of entries, one after the other in turn. */
export class SignaturePool {
  private readonly workers: readonly Worker[];
  private readonly waiting = new Map<number, Waiting>();
  private next = 0;

  /** `keys` are the raw public keys to check with; an entry under another key is vouched for by nobody. */
  constructor(threads: number, keys: readonly string[]) {
    this.workers = Array.from({ length: threads }, () => {
      const worker = new Worker(workerEntry("ledger/verify/signature-worker.ts"));
      worker.onmessage = ({ data }: MessageEvent<SignatureAnswer>) => {
        const batch = this.waiting.get(data.id);
        this.waiting.delete(data.id);
        batch?.resolve(unpackVouched(data.vouched, batch.entries));
      };
      worker.onerror = (event) => this.fail(event.message);
      worker.postMessage({ kind: "keys", keys } satisfies SignatureTask);
      return worker;
    });
  }

  /** How many batches to have under way: one at work and one to go on with, for each thread. */
  get depth(): number {
    return this.workers.length * 2;
  }

  vouch(entries: readonly string[]): Promise<Vouched[]> {
    const id = this.next++;
    const worker = this.workers[id % this.workers.length];
    if (worker === undefined) throw new RangeError("a pool of no threads");
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { entries, resolve, reject });
      const packed = packEntries(entries);
      worker.postMessage({ kind: "batch", id, entries: packed } satisfies SignatureTask, [packed.buffer]);
    });
  }

  private fail(message: string): void {
    const error = new LedgerError("verify_failed", `a thread that checks signatures failed: ${message}`, {
      hint: "try --threads 1",
    });
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }

  close(): void {
    for (const worker of this.workers) worker.terminate();
  }
}
