import type { Clock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { HostCall, HostDoor } from "../core/host-call.ts";
import { type Json, JsonError, parseJson } from "../core/json.ts";
import type { CallLimits } from "../core/plan.ts";
import { PAGE_BYTES } from "./component/bounds.ts";
import { decodeHostCall, encodeHostAnswer } from "./host-calls.ts";
import type { IngestedComponent } from "./ingest.ts";
import type { FailureStatus, LogLine, RunOutcome } from "./outcome.ts";
import { FRAME, ProtocolError } from "./protocol/frame.ts";
import {
  decodeEnded,
  decodeLog,
  decodeReturned,
  MOST_DETAIL_BYTES,
  MOST_LOG_BYTES,
  MOST_LOGS,
  type ResourceUse,
  type TrapKind,
  USE_BYTES,
} from "./protocol/message.ts";
import type { WorldFunction } from "./wit/world.ts";

export interface RunRequest {
  /** Of a registered component. */
  readonly digest: string;
  /** Whose call it is: an operator's component serves each tenant from a process of its own. */
  readonly tenant: string;
  /** JSON text. */
  readonly task: string;
  readonly limits: CallLimits;
  /** On the sandbox's monotonic clock, milliseconds; waiting for a runner counts. */
  readonly deadline: number;
  readonly door: HostDoor;
  readonly signal: AbortSignal;
  /** Interfaces that the action grants, such as `io-http`; absent means all that the component imports. */
  readonly granted?: readonly string[];
}

/** What an execution needs of the runner that it is with. */
export interface RunnerLink {
  answer(call: number, payload: Uint8Array): void;
  /** The gate is done with the call; the runner has to say that it has let go of it. */
  cancel(call: number): void;
}

/** Output is JSON around base64 of the response, with its headers and a path. */
export function outputLimit(limits: CallLimits): number {
  return Math.ceil(limits.responseBytes / 3) * 4 + 262_144;
}

/** Pages of 64 KiB that a component may have. */
export function pageLimit(limits: CallLimits): number {
  return Math.min(65_536, Math.max(1, Math.floor((limits.memoryMb * 1_048_576) / PAGE_BYTES)));
}

/** A host call carries a request, or what the task already holds. */
export function argumentLimit(limits: CallLimits, taskBytes: number): number {
  return Math.max(limits.requestBytes, taskBytes) + 65_536;
}

/**
 * One call from `run` to its outcome, which is given exactly once. After that nothing is asked of the door, and
 * whatever the runner or the door still says about the call is dropped.
 */
export class Execution {
  readonly request: RunRequest;
  readonly component: IngestedComponent;
  /** UTF-8. */
  readonly task: Uint8Array;
  readonly outcome: Promise<RunOutcome>;
  private readonly clock: Clock;
  private readonly started: number;
  private readonly timer: ReturnType<typeof setTimeout>;
  private settle: (outcome: RunOutcome) => void = () => {};
  private over = false;
  private link: { readonly runner: RunnerLink; readonly call: number } | null = null;
  private asking = false;
  private ioCalls = 0;
  private use: ResourceUse | null = null;
  private readonly logs: LogLine[] = [];
  private onEnd: () => void = () => {};

  constructor(request: RunRequest, component: IngestedComponent, clock: Clock) {
    this.request = request;
    this.component = component;
    this.clock = clock;
    this.task = Buffer.from(request.task, "utf8");
    this.started = clock.monotonic();
    this.outcome = new Promise((resolve) => {
      this.settle = resolve;
    });
    // A timer of more than 2^31 - 1 milliseconds would fire at once.
    const left = Math.min(Math.max(0, request.deadline - this.started), 0x7fff_ffff);
    this.timer = setTimeout(() => this.fail("deadline", "the deadline has passed"), left);
    request.signal.addEventListener("abort", this.aborted, { once: true });
  }

  get isOver(): boolean {
    return this.over;
  }

  get tenant(): string {
    return this.request.tenant;
  }

  /** Whole milliseconds until the deadline, as a runner is told them. */
  get timeLeftMs(): number {
    const left = Math.floor(this.request.deadline - this.clock.monotonic());
    return Math.min(Math.max(0, left), 0x7fff_ffff);
  }

  /** Called once, when the call is over. */
  whenOver(listener: () => void): void {
    this.onEnd = listener;
  }

  /** The call has been sent to a runner. */
  began(runner: RunnerLink, call: number): void {
    this.link = { runner, call };
  }

  /** The runner ended, with the reason. */
  lost(detail: string): void {
    this.link = null;
    this.fail("runner_lost", detail);
  }

  fail(status: FailureStatus, detail: string): void {
    this.end({ status, detail, ...this.facts() });
  }

  private trap(kind: TrapKind, detail: string): void {
    this.end({ status: "trap", kind, detail, ...this.facts() });
  }

  /** Longest payload that the runner may send about this call. */
  limit(kind: number): number {
    switch (kind) {
      case FRAME.hostCall:
        // Values take somewhat more on the wire than in memory: lengths and tags.
        return argumentLimit(this.request.limits, this.task.byteLength) * 2;
      case FRAME.log:
        return MOST_LOG_BYTES + 1;
      case FRAME.returned:
        return outputLimit(this.request.limits) + 1 + USE_BYTES;
      case FRAME.ended:
        return MOST_DETAIL_BYTES + 2 + USE_BYTES;
      default:
        throw new ProtocolError(`frame of unknown kind ${kind}`);
    }
  }

  /**
   * A frame about this call. True when it was the runner's last word on it. Throws {@link ProtocolError} for what an
   * honest runner does not send.
   */
  frame(kind: number, payload: Uint8Array): boolean {
    switch (kind) {
      case FRAME.hostCall:
        this.asked(payload);
        return false;
      case FRAME.log:
        if (this.logs.length === MOST_LOGS) throw new ProtocolError("more log lines than a call may write");
        this.logs.push(decodeLog(payload));
        return false;
      case FRAME.returned: {
        const { use, ok, text } = decodeReturned(payload);
        this.link = null;
        this.used(use);
        this.returned(ok, text);
        return true;
      }
      case FRAME.ended: {
        const { use, reason, kind, detail } = decodeEnded(payload);
        this.link = null;
        this.used(use);
        if (reason === "trap") this.trap(kind ?? "other", detail);
        else this.fail(reason, detail);
        return true;
      }
      default:
        throw new ProtocolError(`frame of unknown kind ${kind}`);
    }
  }

  /** The runner counted; what no honest count can be is refused. */
  private used(use: ResourceUse): void {
    const { limits } = this.request;
    if (use.fuel > limits.fuel || use.peakPages > pageLimit(limits))
      throw new ProtocolError("more used than the call may use");
    this.use = use;
  }

  private readonly aborted = () => this.fail("cancelled", "the call was cancelled");

  private asked(payload: Uint8Array): void {
    // A guest waits for each answer, so a second question before it is a forgery.
    if (this.asking) throw new ProtocolError("a host call while another one is under way");
    const { declared, call } = decodeHostCall(payload);
    if (!this.component.imports.includes(declared.interface))
      throw new ProtocolError("a host call that the component does not import");
    if (this.over) return;
    const { granted, limits, door } = this.request;
    if (granted !== undefined && !granted.includes(declared.interface)) {
      this.fail("import_not_granted", `${declared.name} is not granted to this action`);
      return;
    }
    if (this.ioCalls >= limits.ioCalls) {
      this.fail("io_budget_exceeded", `more than ${limits.ioCalls} host calls`);
      return;
    }
    this.ioCalls++;
    this.asking = true;
    void this.ask(door, declared, call);
  }

  private async ask(door: HostDoor, declared: WorldFunction, call: HostCall): Promise<void> {
    try {
      const answer = await door.call(call);
      this.asking = false;
      // Over by now: nobody waits for the answer, and nothing may be sent into the call any more.
      if (this.over || this.link === null) return;
      this.link.runner.answer(this.link.call, encodeHostAnswer(declared, answer));
    } catch (error) {
      this.trap("host", `the host could not answer ${declared.name}: ${messageOf(error)}`);
    }
  }

  private returned(ok: boolean, text: Uint8Array): void {
    try {
      if (ok) this.end({ status: "ok", output: this.parsed(text), ...this.facts() });
      else this.end({ status: "guest_error", message: guestMessage(text), ...this.facts() });
    } catch (error) {
      this.fail("invalid_output", messageOf(error));
    }
  }

  private parsed(text: Uint8Array): Json {
    try {
      return parseJson(text, { bytes: outputLimit(this.request.limits), depth: 32 });
    } catch (error) {
      if (error instanceof JsonError)
        throw new Error(`the output is not json: ${error.message}`, { cause: error });
      throw error;
    }
  }

  private facts() {
    return {
      ioCalls: this.ioCalls,
      durationMs: Math.round(this.clock.monotonic() - this.started),
      fuel: this.use?.fuel ?? null,
      peakMemoryBytes: this.use === null ? null : this.use.peakPages * PAGE_BYTES,
      logs: [...this.logs],
    };
  }

  private end(outcome: RunOutcome): void {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.timer);
    this.request.signal.removeEventListener("abort", this.aborted);
    const { link } = this;
    this.link = null;
    if (link !== null) link.runner.cancel(link.call);
    this.settle(outcome);
    this.onEnd();
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const LONGEST_MESSAGE = 4096;

/** The component's error text, cut; throws when it is not UTF-8. */
function guestMessage(text: Uint8Array): string {
  try {
    return decoder.decode(text).slice(0, LONGEST_MESSAGE).toWellFormed();
  } catch (cause) {
    throw new Error("the error text is not utf-8", { cause });
  }
}
