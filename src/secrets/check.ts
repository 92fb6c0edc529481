import { workerEntry } from "../core/self.ts";
import type { CheckAnswer, CheckTask } from "./check-worker.ts";
import { SecretsError, unavailable } from "./errors.ts";
import type { CheckedVersion } from "./version.ts";

/** Checks a version of the file in a thread of its own, which ends with the check or when the signal gives up. */
export function checkInThread(
  path: string,
  bytes: Uint8Array,
  identities: CheckTask["identities"],
  signal: AbortSignal,
): Promise<CheckedVersion> {
  const worker = new Worker(workerEntry("secrets/check-worker.ts"));
  return new Promise<CheckedVersion>((resolve, reject) => {
    const giveUp = () => reject(unavailable("the check of the secrets file took too long"));
    signal.addEventListener("abort", giveUp, { once: true });
    if (signal.aborted) giveUp();
    worker.onmessage = ({ data }: MessageEvent<CheckAnswer>) => {
      if (data.ok) resolve(data.version);
      else
        reject(new SecretsError(data.code, data.message, data.hint === undefined ? {} : { hint: data.hint }));
    };
    worker.onerror = () => reject(unavailable("the check of the secrets file failed"));
    const task: CheckTask = { path, bytes: Uint8Array.from(bytes), identities };
    worker.postMessage(task);
  }).finally(() => worker.terminate());
}
