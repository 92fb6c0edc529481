import { messageOf } from "../../core/errors.ts";
import { AbiError, type GuestMemory } from "../abi/guest-memory.ts";
import { FlatValues, LiftBudget, liftFlat } from "../abi/lift.ts";
import { lower, lowerBytes } from "../abi/lower.ts";
import { FRAME } from "../protocol/frame.ts";
import {
  type EndReason,
  type ExecuteMessage,
  encodeEnded,
  encodeLog,
  encodeReturned,
  MOST_LOGS,
} from "../protocol/message.ts";
import { decodeValue, encodeValue, WireReader, WireWriter } from "../protocol/value.ts";
import type { WitType, WitValue } from "../wit/type.ts";
import { type LogLevel, WORLD_FUNCTIONS, type WorldFunction } from "../wit/world.ts";
import type { LoadedComponent } from "./component.ts";
import { promiseIntegration } from "./jspi.ts";

export interface CallChannel {
  send(kind: number, ...parts: readonly Uint8Array[]): void;
  /** The call is over and takes no more messages. Called once. */
  over(): void;
}

interface Waiting {
  readonly result: WitType;
  readonly memory: GuestMemory;
  readonly resultPtr: number;
  readonly resume: () => void;
}

/**
 * One execution in a fresh instance. When it is over the guest is never entered again: one that waits for the host is
 * left waiting until it is collected, so that no exception reaches it which it could catch and go on.
 */
export class RunnerCall {
  private readonly message: ExecuteMessage;
  private readonly channel: CallChannel;
  private isOver = false;
  /** The standard's may_leave: false while the host calls realloc, or while modules start. */
  private mayLeave = false;
  private waiting: Waiting | null = null;
  private logs = 0;

  constructor(message: ExecuteMessage, channel: CallChannel) {
    this.message = message;
    this.channel = channel;
  }

  async run(component: LoadedComponent): Promise<void> {
    try {
      const { execute, memory } = component.instantiate(this.message.memoryPages, (declared, lowered) =>
        this.hostFunction(declared, lowered),
      );
      const [ptr, length] = lowerBytes(this.message.task, memory);
      if (this.isOver) return;
      this.mayLeave = true;
      const answer = await promiseIntegration().promising(execute)(ptr, length);
      this.mayLeave = false;
      if (!this.isOver) this.returned(answer, memory);
    } catch (error) {
      // Traps, exhausted stacks, broken canonical ABI, refused growth at the start: all of the guest's making.
      this.end("trap", messageOf(error));
    }
  }

  /** The gate's answer to the host call under way. */
  answer(payload: Uint8Array): void {
    const { waiting } = this;
    if (waiting === null) return;
    this.waiting = null;
    const from = new WireReader(payload);
    const value = decodeValue(waiting.result, from);
    from.end();
    try {
      this.mayLeave = false;
      lower(waiting.result, value, waiting.memory, waiting.resultPtr);
      this.mayLeave = true;
    } catch (error) {
      this.end("trap", messageOf(error));
      return;
    }
    if (!this.isOver) waiting.resume();
  }

  cancel(): void {
    this.finish();
  }

  private returned(answer: unknown, memory: GuestMemory): void {
    if (typeof answer !== "number") throw new AbiError("execute gave no address");
    const view = memory.view(answer >>> 0, 12, 4);
    const arm = view.getUint8(0);
    if (arm > 1) throw new AbiError("discriminant out of range");
    const ptr = view.getUint32(4, true);
    const length = view.getUint32(8, true);
    const { outputBytes } = this.message;
    if (length > outputBytes) {
      this.end("invalid_output", `output of ${length} bytes; ${outputBytes} are allowed`);
      return;
    }
    // The text goes to the gate as it is, which is the one that must not believe it.
    this.channel.send(FRAME.returned, ...encodeReturned({ ok: arm === 0, text: memory.bytes(ptr, length) }));
    this.finish();
  }

  private hostFunction(declared: WorldFunction, memory: GuestMemory): Bun.WebAssembly.ExportValue {
    const index = WORLD_FUNCTIONS.indexOf(declared);
    const { Suspending } = promiseIntegration();
    return new Suspending((...args) => {
      if (this.isOver) return never();
      if (!this.mayLeave) {
        this.end("trap", "the component called the host where it may not leave");
        throw new AbiError("may not leave");
      }
      try {
        return this.called(declared, index, args, memory);
      } catch (error) {
        this.end("trap", messageOf(error));
        return never();
      }
    });
  }

  private called(
    declared: WorldFunction,
    index: number,
    args: readonly unknown[],
    memory: GuestMemory,
  ): Promise<void> | undefined {
    const { serves, result } = declared;
    const flat = new FlatValues(args);
    const budget = new LiftBudget(this.message.argumentBytes);
    const values = declared.params.map((type) => liftFlat(type, memory, flat, budget));
    if ("log" in serves) {
      this.log(serves.log, values[0]);
      return undefined;
    }
    if (result === null) throw new TypeError("a host call has a result");
    const resultPtr = flat.u32();
    const to = new WireWriter();
    to.u8(index);
    for (const [at, type] of declared.params.entries()) encodeValue(type, values[at] ?? null, to);
    this.channel.send(FRAME.hostCall, to.done());
    return new Promise((resolve) => {
      this.waiting = { result, memory, resultPtr, resume: resolve };
    });
  }

  private log(level: LogLevel, message: WitValue | undefined): void {
    if (this.logs === MOST_LOGS) return;
    this.logs++;
    this.channel.send(FRAME.log, ...encodeLog(level, String(message)));
  }

  private end(reason: EndReason, detail: string): void {
    if (this.isOver) return;
    this.channel.send(FRAME.ended, ...encodeEnded({ reason, detail }));
    this.finish();
  }

  private finish(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.waiting = null;
    this.channel.over();
  }
}

/** A promise of its own each time: one that all shared would keep every abandoned guest alive. */
function never(): Promise<void> {
  return new Promise(() => {});
}
