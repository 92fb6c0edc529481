import type { Json } from "../core/json.ts";
import type { TrapKind } from "./protocol/message.ts";
import type { LogLevel } from "./wit/world.ts";

export interface LogLine {
  readonly level: LogLevel;
  /** As the component wrote it, with whatever characters. */
  readonly message: string;
  /** Whether it was longer. */
  readonly cut: boolean;
}

/** What is known of every call that was taken on, however it ended. */
export interface CallFacts {
  /** Host calls that the component asked for, refused ones included; logging is not counted. */
  readonly ioCalls: number;
  /** From the call of `run` to its end, whole milliseconds. */
  readonly durationMs: number;
  /** Fuel used and most memory had, as the runner counted them; null when it never said. */
  readonly fuel: number | null;
  readonly peakMemoryBytes: number | null;
  readonly logs: readonly LogLine[];
}

/** How one execution ended. Only `ok` carries something that the component said; nothing in it is proof of anything. */
export type RunOutcome =
  | ({ readonly status: "ok"; readonly output: Json } & CallFacts)
  /** The component returned its error arm. */
  | ({ readonly status: "guest_error"; readonly message: string } & CallFacts)
  | ({ readonly status: FailureStatus; readonly detail: string } & CallFacts)
  | ({ readonly status: "trap"; readonly kind: TrapKind; readonly detail: string } & CallFacts);

export type FailureStatus =
  | "deadline"
  | "fuel_exhausted"
  /** A trap after memory had been refused, or more memory at the start than is allowed. */
  | "memory_limit"
  | "stack_overflow"
  | "invalid_output"
  | "io_budget_exceeded"
  | "import_not_granted"
  /** The runner ended or was ended while the call was with it, by a fault of its own or of another call. */
  | "runner_lost"
  | "cancelled";
