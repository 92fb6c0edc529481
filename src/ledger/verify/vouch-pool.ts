import { workerEntry } from "../../core/self.ts";
import { LedgerError } from "../errors.ts";
import type { LedgerSource } from "./open-file.ts";
import type { Range } from "./rows.ts";
import type { VouchAnswer, VouchTask } from "./vouch-worker.ts";
import { unpackVouched, type Vouched } from "./vouched-batch.ts";

interface Waiting {
  resolve(vouched: Vouched[]): void;
  reject(error: LedgerError): void;
}

/** Threads that read ranges of a file and vouch for their entries, one after the other in turn. */
export class VouchPool {
  private readonly workers: readonly Worker[];
  private readonly waiting = new Map<number, Waiting>();
  private failed: LedgerError | null = null;
  private next = 0;

  /** `keys` are the raw public keys to check with; an entry under another key is vouched for by nobody. */
  constructor(threads: number, source: LedgerSource, keys: readonly string[]) {
    this.workers = Array.from({ length: threads }, () => {
      const worker = new Worker(workerEntry("ledger/verify/vouch-worker.ts"), { smol: true });
      worker.onmessage = ({ data }: MessageEvent<VouchAnswer>) => this.take(data);
      worker.onerror = (event) =>
        this.fail(
          new LedgerError("verify_failed", `a thread that checks entries failed: ${event.message}`, {
            hint: "try --threads 1",
          }),
        );
      worker.postMessage({ kind: "open", source, keys } satisfies VouchTask);
      return worker;
    });
  }

  /** How many ranges to have under way: one at work and one to go on with, for each thread. */
  get depth(): number {
    return this.workers.length * 2;
  }

  /** The first entries of a range in order, as far as they can be vouched for. */
  vouch(range: Range): Promise<Vouched[]> {
    if (this.failed !== null) return Promise.reject(this.failed);
    const id = this.next++;
    const worker = this.workers[id % this.workers.length];
    if (worker === undefined) throw new RangeError("a pool of no threads");
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      worker.postMessage({ kind: "range", id, range } satisfies VouchTask);
    });
  }

  private take(answer: VouchAnswer): void {
    if (answer.kind === "unreadable") {
      this.fail(new LedgerError("ledger_unreadable", `the ledger cannot be read to its end: ${answer.why}`));
      return;
    }
    const { id, batch } = answer;
    this.waiting.get(id)?.resolve(unpackVouched(batch));
    this.waiting.delete(id);
  }

  private fail(error: LedgerError): void {
    this.failed ??= error;
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }

  close(): void {
    for (const worker of this.workers) worker.terminate();
  }
}
