import type { Subprocess } from "bun";
import { messageOf } from "../core/errors.ts";
import { argumentLimit, type Execution, outputLimit, pageLimit, type RunnerLink } from "./execution.ts";
import type { IngestedComponent } from "./ingest.ts";
import { type Channel, openChannel } from "./protocol/channel.ts";
import { FRAME, ProtocolError } from "./protocol/frame.ts";
import { encodeExecute, encodeLoad, PROTOCOL_VERSION } from "./protocol/message.ts";
import { text, WireReader } from "./protocol/value.ts";
import { RUNNER_COMMAND } from "./validate.ts";

export interface RunnerOptions {
  /** Command line of this program, up to its subcommand; absolute paths, as a runner starts in the root folder. */
  readonly self: readonly string[];
  /** Added to the runner's environment, which has nothing else of the gate's. */
  readonly env: Readonly<Record<string, string>>;
  /** How long it may take to say hello, milliseconds. */
  readonly startTimeoutMs: number;
  /** How long it may take to let go of a cancelled call, milliseconds. */
  readonly cancelGraceMs: number;
}

const MOST_FATAL_BYTES = 512;

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
  /** By call id; null for a call that the gate is done with and the runner has not let go of yet. */
  private readonly calls = new Map<number, Execution | null>();
  private readonly graces = new Map<number, ReturnType<typeof setTimeout>>();
  private readonly loaded = new Map<string, number>();
  private readonly startTimer: ReturnType<typeof setTimeout>;
  private lastCall = 0;
  private hello: "awaited" | "said" = "awaited";
  private lost = false;
  private isReady: () => void = () => {};
  private isNotReady: (cause: Error) => void = () => {};

  constructor(options: RunnerOptions, onLost: (runner: RunnerProcess, detail: string) => void) {
    this.options = options;
    this.onLost = onLost;
    this.ready = new Promise((resolve, reject) => {
      this.isReady = resolve;
      this.isNotReady = reject;
    });
    // Whoever waits for it hears of a failed start; the pool always hears through onLost.
    this.ready.catch(() => {});
    this.child = Bun.spawn([...options.self, RUNNER_COMMAND], {
      stdio: ["ignore", "ignore", "ignore", "pipe"],
      env: { ...options.env, BUN_JSC_useWasmFastMemory: "0" },
      cwd: "/",
      onExit: (_child, code, signal) => this.lose(`the runner ended with ${signal ?? `status ${code}`}`),
    });
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

  /** Whether it was ever given a call. */
  get isUnused(): boolean {
    return this.lastCall === 0;
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
    const call = this.nextCall();
    this.calls.set(call, execution);
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
    this.channel?.send(FRAME.answer, call, payload);
  }

  cancel(call: number): void {
    if (this.lost || !this.calls.has(call)) return;
    this.calls.set(call, null);
    this.channel?.send(FRAME.cancel, call);
    // A guest that spins keeps its runner from hearing this.
    const late = () => this.lose("the runner was stopped: a call in it did not end in time");
    this.graces.set(call, setTimeout(late, this.options.cancelGraceMs));
  }

  /** Ends the process and, as lost, every call in it. */
  lose(detail: string): void {
    if (this.lost) return;
    this.lost = true;
    clearTimeout(this.startTimer);
    for (const timer of this.graces.values()) clearTimeout(timer);
    this.child.kill("SIGKILL");
    this.channel?.close();
    this.isNotReady(new Error(detail));
    const calls = [...this.calls.values()];
    this.calls.clear();
    for (const execution of calls) execution?.lost(detail);
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
    if (kind === FRAME.hello) return 4;
    if (kind === FRAME.fatal) return MOST_FATAL_BYTES;
    if (kind === FRAME.cancelled) return 0;
    const execution = this.calls.get(call);
    if (execution === undefined) throw new ProtocolError("frame for a call that is not in the runner");
    // For a call that is over its frames are read to their end and dropped.
    return execution === null ? DROPPED_LIMIT : execution.limit(kind);
  }

  private frame(kind: number, call: number, payload: Uint8Array): void {
    if (this.lost) return;
    if (kind === FRAME.hello) {
      this.greeted(payload);
      return;
    }
    if (kind === FRAME.fatal) throw new ProtocolError(`the runner refused to start: ${text(payload)}`);
    if (this.hello !== "said") throw new ProtocolError("frame before hello");
    if (kind === FRAME.cancelled) {
      this.letGo(call);
      return;
    }
    const execution = this.calls.get(call);
    if (execution === undefined) throw new ProtocolError("frame for a call that is not in the runner");
    if (execution === null) return;
    if (!execution.frame(kind, payload)) return;
    this.calls.delete(call);
    this.onFree();
  }

  /** Set by the pool: room for another call. */
  onFree: () => void = () => {};

  private greeted(payload: Uint8Array): void {
    const from = new WireReader(payload);
    if (this.hello === "said" || from.u32() !== PROTOCOL_VERSION) throw new ProtocolError("unexpected hello");
    this.hello = "said";
    clearTimeout(this.startTimer);
    this.maybeReady();
  }

  private letGo(call: number): void {
    if (this.calls.get(call) !== null) throw new ProtocolError("a call let go of that was not cancelled");
    clearTimeout(this.graces.get(call));
    this.graces.delete(call);
    this.calls.delete(call);
    this.onFree();
  }

  private nextCall(): number {
    do this.lastCall = this.lastCall === 0xffff_ffff ? 1 : this.lastCall + 1;
    while (this.calls.has(this.lastCall));
    return this.lastCall;
  }
}

const DROPPED_LIMIT = 64 * 1024 * 1024;
