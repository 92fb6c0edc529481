import type { HostFailure } from "../failure.ts";

/** Runs work under a signal that also aborts, with the given reason, once the time is over. */
export async function within<T>(
  ms: number,
  late: HostFailure,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const controller = new AbortController();
  const onAbort = () => controller.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  const timer = setTimeout(() => controller.abort(late), Math.min(ms, 0x7fffffff));
  try {
    return await work(controller.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
