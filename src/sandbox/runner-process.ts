import type { Subprocess } from "bun";
import { messageOf } from "../core/errors.ts";
import { type CallPlace, CallTable } from "./call-table.ts";
import { argumentLimit, type Execution, outputLimit, pageLimit, type RunnerLink } from "./execution.ts";
import { Graces } from "./graces.ts";
import type { IngestedComponent } from "./ingest.ts";
import { unlockedLayers } from "./lock/inspect.ts";
import type { Layer } from "./lock/layers.ts";
import { notLocked } from "./lock/probe.ts";
import { type Channel, openChannel } from "./protocol/channel.ts";
import { FRAME, ProtocolError } from "./protocol/frame.ts";
import {
  decodeFatal,
  decodeHello,
  encodeExecute,
  encodeLoad,
  HELLO_BYTES,
  MOST_FATAL_BYTES,
  PROTOCOL_VERSION,
} from "./protocol/message.ts";
import { RUNNER_COMMAND, RUNNER_MODE } from "./runner-command.ts";

export interface RunnerOptions {
  /** Command line of this program, up to its subcommand; absolute paths, as a runner starts in the root folder. */
  readonly self: readonly string[];
  /** Added to the runner's environment, which has nothing else of the gate's. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether a runner may go on without a layer of its lock; `unsafe_unlocked` in the configuration. */
  readonly allowUnlocked: boolean;
  /** How long it may take to say hello, milliseconds. */
  readonly startTimeoutMs: number;
  /** How long it may take to let go of a cancelled call, milliseconds. */
  readonly cancelGraceMs: number;
  /** Monotonic, milliseconds. */
  readonly now: () => number;
  /** Told of each host call that was refused because its call is over. */
  readonly onRefused: () => void;
}

/**
 * One runner as the gate sees it. It is not trusted: what it says about calls is checked, and the first word that an
 * honest runner would not say ends it. A runner that ends takes its calls with it; `onLost` comes after they ended.
 */
export class RunnerProcess implements RunnerLink {
  /** Resolves when the runner has said hello; rejects when it ended before. */
  readonly ready: Promise<void>;
  readonly exited: Promise<unknown>;
  private readonly options: RunnerOptions;
  private readonly child: Subprocess;
  private readonly onLost: (runner: RunnerProcess, detail: string) => void;
  private channel: Channel | null = null;
  private readonly calls: CallTable;
  private readonly graces: Graces;
  private readonly loaded = new Map<string, number>();
  private readonly startTimer: ReturnType<typeof setTimeout>;
  /** Layers of its lock that are not in force; known when it is ready. */
  missing: readonly Layer[] = [];
  private hello: "awaited" | "said" = "awaited";
  private lost = false;
  private retiring = false;
  private isReady: () => void = () => {};
  private isNotReady: (cause: Error) => void = () => {};

  constructor(options: RunnerOptions, onLost: (runner: RunnerProcess, detail: string) => void) {
    this.options = options;
    this.calls = new CallTable(options.now);
    this.onLost = onLost;
    this.ready = new Promise((resolve, reject) => {
      this.isReady = resolve;
      this.isNotReady = reject;
    });
    // Whoever waits for it hears of a failed start; the pool always hears through onLost.
    this.ready.catch(() => {});
    const mode = options.allowUnlocked ? RUNNER_MODE.unlocked : RUNNER_MODE.locked;
    this.child = Bun.spawn([...options.self, RUNNER_COMMAND, mode], {
      stdio: ["ignore", "ignore", "ignore", "pipe"],
      env: { ...options.env, BUN_JSC_useWasmFastMemory: "0" },
      cwd: "/",
      onExit: (_child, code, signal) => this.lose(`the runner ended with ${signal ?? `status ${code}`}`),
    });
    this.graces = new Graces(this.child.pid, options.cancelGraceMs, () =>
      this.lose("the runner was stopped: a call in it did not end in time"),
    );
    this.exited = this.child.exited;
    this.startTimer = setTimeout(() => this.lose("the runner did not start in time"), options.startTimeoutMs);
    this.open().catch((error: unknown) => this.lose(`no channel to the runner: ${messageOf(error)}`));
  }

  get pid(): number {
    return this.child.pid;
  }

  /** Calls that the runner has not let go of. */
  get inFlight(): number {
    return this.calls.size;
  }

  /** Those of them that do not wait for the host: they share the runner's one thread. */
  get running(): number {
    return this.calls.running;
  }

  /** Calls that it was ever given. */
  get served(): number {
    return this.calls.served;
  }

  /** Whether it was ever given a call. */
  get isUnused(): boolean {
    return this.calls.served === 0;
  }

  /** Whether it ends, or ended, in the ordinary way. */
  get isRetired(): boolean {
    return this.retiring;
  }

  /** Whether something in it has computed for longer than `stallMs` without a word. */
  isStalled(now: number, stallMs: number): boolean {
    return this.calls.isStalled(now, stallMs);
  }

  /** Whether it has had nothing to do for that long. */
  isQuiet(now: number, ms: number): boolean {
    return this.calls.isQuiet(now, ms);
  }

  /** Ends it with its last call, at once when there is none. It is given no further ones. */
  retireWhenFree(): void {
    this.retiring = true;
    if (this.calls.size === 0) this.lose("the runner was replaced");
  }

  get isLost(): boolean {
    return this.lost;
  }

  load(component: IngestedComponent): void {
    if (this.lost || this.loaded.has(component.digest)) return;
    const id = this.loaded.size + 1;
    this.loaded.set(component.digest, id);
    this.channel?.send(
      FRAME.load,
      0,
      encodeLoad({ component: id, plan: component.plan, cores: component.cores }),
    );
  }

  /** Sends a call to the runner, which is ready. */
  execute(execution: Execution): void {
    const { limits } = execution.request;
    this.load(execution.component);
    const component = this.loaded.get(execution.component.digest) ?? 0;
    const call = this.calls.add(execution);
    execution.began(this, call);
    const payload = encodeExecute({
      component,
      memoryPages: pageLimit(limits),
      fuel: limits.fuel,
      timeLeftMs: execution.timeLeftMs,
      outputBytes: outputLimit(limits),
      argumentBytes: argumentLimit(limits, execution.task.byteLength),
      task: execution.task,
    });
    this.channel?.send(FRAME.execute, call, payload);
  }

  answer(call: number, payload: Uint8Array): void {
    const place = this.calls.find(call);
    if (place === undefined) return;
    this.calls.goesOn(place);
    place.answer = this.channel?.send(FRAME.answer, call, payload) ?? 0;
  }

  cancel(call: number): void {
    const place = this.calls.find(call);
    if (this.lost || place === undefined) return;
    this.calls.goesOn(place);
    place.execution = null;
    this.channel?.send(FRAME.cancel, call);
    this.graces.begin(call);
  }

  /** Ends the process and, as lost, every call in it. Whoever waits for it to be ready gets the error. */
  lose(detail: string, error: Error = new Error(detail)): void {
    if (this.lost) return;
    this.lost = true;
    clearTimeout(this.startTimer);
    this.graces.clear();
    this.child.kill("SIGKILL");
    this.channel?.close();
    this.isNotReady(error);
    for (const execution of this.calls.clear()) execution.lost(detail);
    this.onLost(this, detail);
  }

  private async open(): Promise<void> {
    const fd: unknown = this.child.stdio[3];
    if (typeof fd !== "number") throw new Error("the runner was started without its pipe");
    const channel = await openChannel(fd, {
      limit: (kind, call) => this.limit(kind, call),
      frame: (kind, call, payload) => this.frame(kind, call, payload),
      closed: (cause) => this.lose(cause === null ? "the runner closed its pipe" : messageOf(cause)),
    });
    this.channel = channel;
    if (this.lost) channel.close();
    this.maybeReady();
  }

  /** Its hello may come before the channel has been handed out. */
  private maybeReady(): void {
    if (this.channel !== null && this.hello === "said") this.isReady();
  }

  private limit(kind: number, call: number): number {
    if (kind === FRAME.hello) return HELLO_BYTES;
    if (kind === FRAME.fatal) return MOST_FATAL_BYTES;
    if (kind === FRAME.cancelled) return 0;
    const { execution } = this.calls.get(call);
    // For a call that is over its frames are read to their end and dropped.
    return execution === null ? DROPPED_LIMIT : execution.limit(kind);
  }

  private frame(kind: number, call: number, payload: Uint8Array): void {
    if (this.lost) return;
    if (kind === FRAME.hello) {
      this.greeted(payload);
      return;
    }
    if (kind === FRAME.fatal) {
      const { locked, detail } = decodeFatal(payload);
      if (locked) throw new ProtocolError(`the runner refused to start: ${detail}`);
      this.lose(detail, notLocked(detail));
      return;
    }
    if (this.hello !== "said") throw new ProtocolError("frame before hello");
    if (kind === FRAME.cancelled) {
      this.letGo(call);
      return;
    }
    this.calls.heard();
    const place = this.calls.get(call);
    const { execution } = place;
    if (execution === null) {
      // Sent before the runner heard that the call is over, or by one that does not care: nothing comes of it.
      if (kind === FRAME.hostCall) this.options.onRefused();
      return;
    }
    if (kind === FRAME.hostCall) {
      // Else answers would gather here for a runner that asks and never reads.
      if (this.channel?.isSent(place.answer) === false)
        throw new ProtocolError("a host call before the answer to the last one can have been read");
      this.calls.asked(place);
    }
    if (execution.frame(kind, payload)) this.free(call, place);
    // One that waits for the host leaves the thread to another.
    else if (kind === FRAME.hostCall) this.onFree();
  }

  /** Set by the pool: room for another call. */
  onFree: () => void = () => {};

  private greeted(payload: Uint8Array): void {
    const { version, missing } = decodeHello(payload);
    if (this.hello === "said" || version !== PROTOCOL_VERSION) throw new ProtocolError("unexpected hello");
    // What it says of its lock counts only where it admits a hole; for the rest the kernel is asked.
    const seen = process.platform === "linux" ? unlockedLayers(this.pid) : [];
    const holes = [...new Set([...missing, ...seen])];
    if (holes.length > 0 && !this.options.allowUnlocked) {
      const detail = `not in force in a runner: ${holes.join(", ")}`;
      this.lose(detail, notLocked(detail));
      return;
    }
    this.missing = holes;
    this.hello = "said";
    clearTimeout(this.startTimer);
    this.maybeReady();
  }

  private letGo(call: number): void {
    const place = this.calls.get(call);
    if (place.execution !== null) throw new ProtocolError("a call let go of that was not cancelled");
    this.calls.heard();
    this.graces.end(call);
    this.free(call, place);
  }

  private free(call: number, place: CallPlace): void {
    this.calls.remove(call, place);
    if (this.retiring && this.calls.size === 0) this.lose("the runner was replaced");
    else this.onFree();
  }
}

const DROPPED_LIMIT = 64 * 1024 * 1024;
