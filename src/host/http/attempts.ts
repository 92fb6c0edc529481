import { HostFailure } from "../failure.ts";

/** RFC 8305 §8: how long one address may keep the next one waiting. */
const ATTEMPT_DELAY_MS = 250;

/** An opened connection that somebody else was faster than. */
interface Closable {
  end(): Promise<void>;
}

/** Opens one way; gives up when the signal does. It calls `reached` once somebody is there. */
export type Open<W, C> = (way: W, timeoutMs: number, signal: AbortSignal, reached: () => void) => Promise<C>;

/**
 * Connects by the first of several judged ways that answers (RFC 8305 §5): the next one is tried once the one before
 * has failed, or has kept it waiting for a quarter of a second without an answer. Nothing of a request has left by
 * then, so no effect is tried twice. Only a way that leads nowhere hands over to the next: a certificate that is not
 * valid, or a handshake without end, ends them all.
 *
 * Throws the failure of the first way, the one that ends them all, or the signal's reason.
 *
 * @param ways at least one, in the order to try
 */
export function firstToConnect<W, C extends Closable>(
  ways: readonly [W, ...W[]],
  timeoutMs: number,
  signal: AbortSignal,
  open: Open<W, C>,
): Promise<{ readonly way: W; readonly connection: C }> {
  const controller = new AbortController();
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const failures: (HostFailure | undefined)[] = [];
    let started = 0;
    let failed = 0;
    let settled = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const settle = (outcome: () => void) => {
      settled = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      outcome();
      controller.abort(signal.reason ?? new HostFailure("cancelled", "another way was faster"));
    };
    const onAbort = () => settle(() => reject(signal.reason));
    const next = () => {
      clearTimeout(timer);
      const way = ways[started];
      if (way === undefined) return;
      const at = started++;
      timer = setTimeout(next, ATTEMPT_DELAY_MS);
      const left = Math.max(1, timeoutMs - (performance.now() - began));
      open(way, left, controller.signal, () => clearTimeout(timer)).then(
        (connection) => {
          if (settled) void connection.end();
          else settle(() => resolve({ way, connection }));
        },
        (failure: unknown) => {
          if (settled) return;
          if (!leadsNowhere(failure)) return settle(() => reject(failure));
          failures[at] = failure;
          failed += 1;
          if (failed === ways.length) settle(() => reject(failures[0]));
          else next();
        },
      );
    };
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    next();
  });
}

function leadsNowhere(failure: unknown): failure is HostFailure {
  return failure instanceof HostFailure && failure.code === "connect_failed";
}
