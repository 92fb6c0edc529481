/**
 * Worker entry: checks one version of the secrets file and ends. A long file takes a while to read, and the thread that
 * answers calls must not wait for it; what the check saw in the clear goes with the thread's memory.
 */
import { LatchGateError } from "../core/errors.ts";
import type { Identities } from "./age.ts";
import { type CheckedVersion, checkVersion } from "./version.ts";

declare const self: Worker;

export interface CheckTask {
  readonly path: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly identities: Identities;
}

export type CheckAnswer =
  | { readonly ok: true; readonly version: CheckedVersion }
  | {
      readonly ok: false;
      readonly code: string;
      readonly message: string;
      readonly hint: string | undefined;
    };

self.onmessage = async ({ data }: MessageEvent<CheckTask>) => {
  try {
    const version = await checkVersion(data.path, data.bytes, data.identities);
    self.postMessage({ ok: true, version } satisfies CheckAnswer);
    version.dataKey.fill(0);
  } catch (error) {
    // The message of what nobody expected is not told: it may carry anything.
    const known = error instanceof LatchGateError ? error : null;
    self.postMessage({
      ok: false,
      code: known?.code ?? "secrets_unavailable",
      message: known?.message ?? "the check of the secrets file failed",
      hint: known?.hint,
    } satisfies CheckAnswer);
  }
};
