import { utf8 } from "../../core/bytes.ts";
import type { LinkPlan } from "../component/plan.ts";
import { LAYERS, type Layer } from "../lock/layers.ts";
import { LOG_LEVELS, type LogLevel } from "../wit/world.ts";
import { ProtocolError } from "./frame.ts";
import { text, WireReader, WireWriter } from "./value.ts";

/** Raised with every change of a frame's meaning; gate and runner are the same binary, or something is wrong. */
export const PROTOCOL_VERSION = 3;

/** The runner's first word: what it speaks, and which layers of its lock are not in force. */
export interface HelloMessage {
  readonly version: number;
  readonly missing: readonly Layer[];
}

export const HELLO_BYTES = 8;

export function encodeHello({ version, missing }: HelloMessage): Uint8Array {
  const to = new WireWriter();
  to.u32(version);
  to.u32(missing.reduce((mask, layer) => mask | (1 << LAYERS.indexOf(layer)), 0));
  return to.done();
}

export function decodeHello(payload: Uint8Array): HelloMessage {
  const from = new WireReader(payload);
  const version = from.u32();
  const mask = from.u32();
  from.end();
  if (mask >>> LAYERS.length !== 0) throw new ProtocolError("layer out of range");
  return { version, missing: LAYERS.filter((_, index) => (mask & (1 << index)) !== 0) };
}

/** The runner's last word, when it can't start: whether for want of a layer, and what is wrong. */
export interface FatalMessage {
  readonly locked: boolean;
  readonly detail: string;
}

export const MOST_FATAL_BYTES = 1024;

export function encodeFatal({ locked, detail }: FatalMessage): [Uint8Array, Uint8Array] {
  return [Uint8Array.of(locked ? 1 : 0), cutUtf8(detail, MOST_FATAL_BYTES - 1)];
}

export function decodeFatal(payload: Uint8Array): FatalMessage {
  const from = new WireReader(payload);
  const flag = from.u8();
  if (flag > 1) throw new ProtocolError("flag is neither 0 nor 1");
  return { locked: flag === 1, detail: printable(text(from.rest())) };
}

/** Messages from the gate, which the runner trusts. */
export interface LoadMessage {
  readonly component: number;
  readonly plan: LinkPlan;
  readonly cores: readonly Uint8Array[];
}

export function encodeLoad({ component, plan, cores }: LoadMessage): Uint8Array {
  const to = new WireWriter();
  to.u32(component);
  to.string(JSON.stringify(plan));
  to.u32(cores.length);
  for (const core of cores) to.bytes(core);
  return to.done();
}

export function decodeLoad(payload: Uint8Array): LoadMessage {
  const from = new WireReader(payload);
  const component = from.u32();
  const plan = JSON.parse(from.string()) as LinkPlan; // what encodeLoad wrote, on a pipe that only the gate holds
  const cores = Array.from({ length: from.u32() }, () => from.bytes());
  from.end();
  return { component, plan, cores };
}

export interface ExecuteMessage {
  readonly component: number;
  readonly memoryPages: number;
  readonly fuel: number;
  /** Milliseconds that the call has left. */
  readonly timeLeftMs: number;
  /** Longest text of the answer, in bytes. */
  readonly outputBytes: number;
  /** Most bytes that the arguments of one host call may have. */
  readonly argumentBytes: number;
  /** UTF-8. */
  readonly task: Uint8Array;
}

export function encodeExecute(message: ExecuteMessage): Uint8Array {
  const to = new WireWriter(message.task.byteLength + 64);
  to.u32(message.component);
  to.u32(message.memoryPages);
  to.u64(message.fuel);
  to.u32(message.timeLeftMs);
  to.u32(message.outputBytes);
  to.u32(message.argumentBytes);
  to.bytes(message.task);
  return to.done();
}

export function decodeExecute(payload: Uint8Array): ExecuteMessage {
  const from = new WireReader(payload);
  const component = from.u32();
  const memoryPages = from.u32();
  const fuel = from.u64();
  const timeLeftMs = from.u32();
  const outputBytes = from.u32();
  const argumentBytes = from.u32();
  const task = from.bytes();
  from.end();
  return { component, memoryPages, fuel, timeLeftMs, outputBytes, argumentBytes, task };
}

/** Messages from the runner, which the gate does not trust. */

/** What a call used, as the runner counted it. */
export interface ResourceUse {
  readonly fuel: number;
  /** Most pages of 64 KiB that the component had at a time. */
  readonly peakPages: number;
}

/** Bytes of a {@link ResourceUse} in a frame. */
export const USE_BYTES = 12;

function encodeUse({ fuel, peakPages }: ResourceUse): Uint8Array {
  const to = new WireWriter(USE_BYTES);
  to.u64(fuel);
  to.u32(peakPages);
  return to.done();
}

export interface ReturnedMessage {
  readonly use: ResourceUse;
  readonly ok: boolean;
  /** UTF-8, as yet unchecked. A copy. */
  readonly text: Uint8Array;
}

export function encodeReturned({ use, ok, text: bytes }: ReturnedMessage): Uint8Array[] {
  return [encodeUse(use), Uint8Array.of(ok ? 0 : 1), bytes];
}

export function decodeReturned(payload: Uint8Array): ReturnedMessage {
  const from = new WireReader(payload);
  const use = { fuel: from.u64(), peakPages: from.u32() };
  const arm = from.u8();
  if (arm > 1) throw new ProtocolError("flag is neither 0 nor 1");
  return { use, ok: arm === 0, text: from.rest().slice() };
}

/** Why a call ended without an answer of the component. */
export const END_REASONS = [
  "trap",
  "invalid_output",
  "import_not_granted",
  "fuel_exhausted",
  "memory_limit",
  "stack_overflow",
  "deadline",
] as const;
export type EndReason = (typeof END_REASONS)[number];

/** What kind of trap it was. */
export const TRAP_KINDS = [
  "unreachable",
  "out_of_bounds",
  "division",
  "conversion",
  "indirect_call",
  "uncaught_exception",
  /** It broke the canonical ABI. */
  "abi",
  /** The host could not answer. */
  "host",
  "other",
] as const;
export type TrapKind = (typeof TRAP_KINDS)[number];

export interface EndedMessage {
  readonly use: ResourceUse;
  /** For a trap. */
  readonly kind: TrapKind | null;
  readonly reason: EndReason;
  readonly detail: string;
}

export const MOST_DETAIL_BYTES = 1024;
export const MOST_LOG_BYTES = 4096;
export const MOST_LOGS = 256;

export function encodeEnded({ use, reason, kind, detail }: EndedMessage): Uint8Array[] {
  const codes = Uint8Array.of(END_REASONS.indexOf(reason), TRAP_KINDS.indexOf(kind ?? "other"));
  return [encodeUse(use), codes, cutUtf8(detail, MOST_DETAIL_BYTES)];
}

export function decodeEnded(payload: Uint8Array): EndedMessage {
  const from = new WireReader(payload);
  const use = { fuel: from.u64(), peakPages: from.u32() };
  const reason = END_REASONS[from.u8()];
  const kind = TRAP_KINDS[from.u8()];
  if (reason === undefined || kind === undefined) throw new ProtocolError("end reason out of range");
  return { use, reason, kind: reason === "trap" ? kind : null, detail: printable(text(from.rest())) };
}

export function encodeLog(level: LogLevel, message: string): [Uint8Array, Uint8Array] {
  return [Uint8Array.of(LOG_LEVELS.indexOf(level)), cutUtf8(message, MOST_LOG_BYTES)];
}

/** The text as it came: who shows it takes out credentials first, and what a terminal would obey after. */
export function decodeLog(payload: Uint8Array): { level: LogLevel; message: string; cut: boolean } {
  const from = new WireReader(payload);
  const level = LOG_LEVELS[from.u8()];
  if (level === undefined) throw new ProtocolError("log level out of range");
  const rest = from.rest();
  // A character has up to four bytes, and is left out as a whole.
  return { level, message: text(rest), cut: rest.byteLength > MOST_LOG_BYTES - 4 };
}

/** UTF-8 of at most so many bytes, never cut inside a character. */
function cutUtf8(message: string, most: number): Uint8Array {
  const bytes = utf8(message.toWellFormed());
  if (bytes.byteLength <= most) return bytes;
  let end = most;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

/** Control and line characters as spaces: the text goes to terminals and line-based logs. */
function printable(message: string): string {
  return message.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, " ");
}
