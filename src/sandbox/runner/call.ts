import { AbiError, type GuestMemory } from "../abi/guest-memory.ts";
import { FlatValues, LiftBudget, liftFlat } from "../abi/lift.ts";
import { lower, lowerBytes } from "../abi/lower.ts";
import { FRAME } from "../protocol/frame.ts";
import {
  type EndedMessage,
  type EndReason,
  type ExecuteMessage,
  encodeEnded,
  encodeLog,
  encodeReturned,
  MOST_LOGS,
} from "../protocol/message.ts";
import { decodeValue, encodeValue, WireReader, WireWriter } from "../protocol/value.ts";
import type { WitType, WitValue } from "../wit/type.ts";
import type { WasiFunction } from "../wit/wasi.ts";
import type { LogLevel, WorldFunction } from "../wit/world.ts";
import type { LoadedComponent } from "./component.ts";
import { promiseIntegration } from "./jspi.ts";
import { MeterState } from "./meter-state.ts";
import { endOf } from "./trap.ts";
import { WASI } from "./wasi.ts";

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
 * What a host call costs, in fuel, beside what its guest code costs: the work that it makes for the runner. One for
 * each 16 bytes that cross, in either direction.
 */
const HOST_CALL_FUEL = 1_000;
const BYTES_PER_UNIT_BITS = 4;

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
  private readonly meter: MeterState;
  private logs = 0;

  constructor(message: ExecuteMessage, channel: CallChannel) {
    this.message = message;
    this.channel = channel;
    const { fuel, memoryPages, timeLeftMs } = message;
    this.meter = new MeterState({ fuel, memoryPages, deadline: performance.now() + timeLeftMs });
  }

  async run(component: LoadedComponent): Promise<void> {
    try {
      const { execute, memory } = await component.instantiate(
        this.message.memoryPages,
        {
          world: (declared, index, lowered) => this.hostFunction(declared, index, lowered),
          wasi: (name, lowered) => this.wasi(name, lowered),
          denied: (name) => this.denied(name),
        },
        this.meter,
      );
      if (this.isOver) return;
      const [ptr, length] = lowerBytes(this.message.task, memory);
      if (this.isOver) return;
      this.mayLeave = true;
      const answer = await promiseIntegration().promising(execute)(ptr, length);
      this.mayLeave = false;
      if (!this.isOver) this.returned(answer, memory);
    } catch (error) {
      // Traps, exhausted stacks, broken canonical ABI, refused growth at the start: all of the guest's making.
      this.broke(error);
    }
  }

  /** The gate's answer to the host call under way. */
  answer(payload: Uint8Array): void {
    const { waiting } = this;
    if (waiting === null) return;
    this.waiting = null;
    if (!this.charged(payload.byteLength >> BYTES_PER_UNIT_BITS)) return;
    const from = new WireReader(payload);
    const value = decodeValue(waiting.result, from);
    from.end();
    try {
      this.mayLeave = false;
      lower(waiting.result, value, waiting.memory, waiting.resultPtr);
      this.mayLeave = true;
    } catch (error) {
      this.broke(error);
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
    const use = this.meter.used();
    const text = memory.bytes(ptr, length);
    this.channel.send(FRAME.returned, ...encodeReturned({ use, ok: arm === 0, text }));
    this.finish();
  }

  private hostFunction(
    declared: WorldFunction,
    index: number,
    memory: GuestMemory,
  ): Bun.WebAssembly.ExportValue {
    const { Suspending } = promiseIntegration();
    return new Suspending((...args) => {
      if (this.isOver) return never();
      if (!this.mayLeave) {
        const error = new AbiError("the component called the host where it may not leave");
        this.broke(error);
        throw error;
      }
      try {
        return this.called(declared, index, args, memory);
      } catch (error) {
        this.broke(error);
        return never();
      }
    });
  }

  /** Clocks and randomness, which cost what a host call does. */
  private wasi(name: WasiFunction, memory: GuestMemory | null): Bun.WebAssembly.ExportValue {
    const answer = WASI[name];
    const { Suspending } = promiseIntegration();
    return new Suspending((...args) => {
      if (this.isOver || !this.charged(HOST_CALL_FUEL)) return never();
      try {
        return answer(args, memory);
      } catch (error) {
        this.broke(error);
        return never();
      }
    });
  }

  /** What the component asks for here is not part of the sandbox. */
  private denied(name: string): Bun.WebAssembly.ExportValue {
    const { Suspending } = promiseIntegration();
    return new Suspending(() => {
      if (!this.isOver)
        this.end("import_not_granted", `the component called ${name.slice(0, 128)}, which no provider has`);
      if (this.mayLeave) return never();
      throw new AbiError("the component called what it may not");
    });
  }

  private called(
    declared: WorldFunction,
    index: number,
    args: readonly unknown[],
    memory: GuestMemory,
  ): Promise<void> | undefined {
    const { serves, result } = declared;
    if (!this.charged(HOST_CALL_FUEL)) return never();
    const flat = new FlatValues(args);
    const budget = new LiftBudget(this.message.argumentBytes);
    const values = declared.params.map((type) => liftFlat(type, memory, flat, budget));
    if (!this.charged(budget.taken >> BYTES_PER_UNIT_BITS)) return never();
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

  /** Pays for what the host does; false when the call is over with that. */
  private charged(units: number): boolean {
    if (this.meter.charge(units)) return true;
    this.broke(null);
    return false;
  }

  /** The guest did not get to its end. */
  private broke(error: unknown): void {
    if (this.isOver) return;
    this.ended({ ...endOf(error, this.meter) });
  }

  private end(reason: Exclude<EndReason, "trap">, detail: string): void {
    if (!this.isOver) this.ended({ reason, kind: null, detail });
  }

  private ended(end: Omit<EndedMessage, "use">): void {
    this.channel.send(FRAME.ended, ...encodeEnded({ ...end, use: this.meter.used() }));
    this.finish();
  }

  private finish(): void {
    if (this.isOver) return;
    this.isOver = true;
    // Whatever still runs, as a start function or realloc that caught an exception, is trapped at its next question.
    this.meter.cancel();
    this.waiting = null;
    this.channel.over();
  }
}

/** A promise of its own each time: one that all shared would keep every abandoned guest alive. */
function never(): Promise<void> {
  return new Promise(() => {});
}
