import type { Clock } from "../core/clock.ts";
import { rfc3339 } from "../core/clock.ts";
import type { JsonObject } from "../core/json.ts";
import { LruMap } from "../core/lru-map.ts";
import type { LogLine } from "../sandbox/index.ts";
import type { PlannedCall } from "./call.ts";
import { sanitise } from "./refusal.ts";
import { shortenUrls } from "./shorten-urls.ts";

export const COMPONENT_LEVELS = ["debug", "info", "warn", "off"] as const;
export type ComponentLevel = (typeof COMPONENT_LEVELS)[number];

export interface ComponentLogOptions {
  readonly clock: Clock;
  /** The least level that is written. */
  readonly level: ComponentLevel;
  /** Writes entries of the operator's log, and does not reject. The next ones wait until it has resolved. */
  readonly write: (entries: readonly JsonObject[]) => Promise<void>;
}

/** Takes credentials out of a text; `cut` says that its end is missing. */
type Redact = (text: string, cut: boolean) => string;

/** Lines of one call. */
const LINES_PER_CALL = 64;
/** Bytes of a message. */
const MESSAGE_BYTES = 1000;
/** Lines of one action and tenant within a window. */
const LINES_PER_WINDOW = 1000;
const WINDOW_MS = 10_000;
const WINDOWS = 1024;
/** Entries that wait for a slow reader of the log. */
const WAITING = 4096;

interface Window {
  since: number;
  lines: number;
  dropped: number;
  readonly tenant: string;
  readonly action: string;
}

/**
 * What components say, for the operator's log and nowhere else. They say it at an agent's request, so it is bounded: by
 * call, by action and tenant in time, and by what the log takes; what is dropped is counted there. Credentials are
 * taken out of the whole text before anything else is done to it; then URLs lose what may be one.
 */
export class ComponentLog {
  private readonly options: ComponentLogOptions;
  private readonly windows = new LruMap<string, Window>(WINDOWS);
  private waiting: JsonObject[] = [];
  private lost = 0;
  private writing: Promise<void> | null = null;

  constructor(options: ComponentLogOptions) {
    this.options = options;
  }

  /** The lines of one execution, in order. */
  take(call: PlannedCall, lines: readonly LogLine[], redact: Redact): void {
    const least = COMPONENT_LEVELS.indexOf(this.options.level);
    const wanted = lines.filter(({ level }) => COMPONENT_LEVELS.indexOf(level) >= least);
    if (wanted.length === 0) return;
    const window = this.window(call);
    const room = Math.min(LINES_PER_CALL, LINES_PER_WINDOW - window.lines, wanted.length);
    window.lines += room;
    window.dropped += wanted.length - room;
    for (const { level, message, cut } of wanted.slice(0, room))
      this.add({
        event: "component_log",
        level,
        trace_id: call.traceId,
        tenant: call.caller.tenant,
        action_id: call.action.id,
        message: sanitise(shortenUrls(redact(message, cut)), MESSAGE_BYTES),
      });
    if (wanted.length > room && window.lines < LINES_PER_WINDOW) this.tellDropped(window);
    this.send();
  }

  /** Tells what was dropped and not yet told; resolves when everything is written, or the reader has had his time. */
  async flush(withinMs: number): Promise<void> {
    for (let oldest = this.windows.oldest(); oldest !== undefined; oldest = this.windows.oldest()) {
      this.windows.delete(oldest[0]);
      this.tellDropped(oldest[1]);
    }
    this.send();
    const { promise: late, resolve } = Promise.withResolvers<true>();
    const timer = setTimeout(resolve, withinMs, true);
    let over = false;
    while (this.writing !== null && !over) over = (await Promise.race([this.writing, late])) === true;
    clearTimeout(timer);
  }

  private window({ caller, action }: PlannedCall): Window {
    const now = this.options.clock.monotonic();
    const key = JSON.stringify([caller.tenant, action.id]);
    const known = this.windows.get(key);
    if (known !== undefined && now - known.since < WINDOW_MS) return known;
    const oldest = this.windows.size < this.windows.capacity ? undefined : this.windows.oldest()?.[1];
    for (const over of known === undefined ? [oldest] : [known])
      if (over !== undefined) this.tellDropped(over);
    const fresh = { since: now, lines: 0, dropped: 0, tenant: caller.tenant, action: action.id };
    this.windows.set(key, fresh);
    return fresh;
  }

  private tellDropped(window: Window): void {
    if (window.dropped === 0) return;
    const { tenant, action, dropped: lines } = window;
    window.dropped = 0;
    this.add({ event: "component_log_dropped", level: "warn", tenant, action_id: action, lines });
  }

  private add(entry: JsonObject): void {
    if (this.waiting.length >= WAITING) this.lost += 1;
    else this.waiting.push({ time: rfc3339(this.options.clock.now()), ...entry });
  }

  private send(): void {
    if (this.writing !== null || (this.waiting.length === 0 && this.lost === 0)) return;
    const entries = this.waiting;
    this.waiting = [];
    const lines = this.lost;
    this.lost = 0;
    if (lines > 0)
      entries.push({
        time: rfc3339(this.options.clock.now()),
        event: "component_log_dropped",
        level: "warn",
        lines,
      });
    this.writing = this.options.write(entries).finally(() => {
      this.writing = null;
      this.send();
    });
  }
}
