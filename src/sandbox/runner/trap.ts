import { messageOf } from "../../core/errors.ts";
import { AbiError } from "../abi/guest-memory.ts";
import { ComponentError } from "../component/cursor.ts";
import type { EndedMessage, TrapKind } from "../protocol/message.ts";
import type { MeterState } from "./meter-state.ts";

/** Which the declarations of WebAssembly do not know yet. */
const { Exception } = WebAssembly as unknown as { readonly Exception: new () => object };

/** The engine's words for its traps. Where they change, the kind becomes `other`, and a test red. */
const KINDS: readonly (readonly [TrapKind, RegExp])[] = [
  ["unreachable", /^Unreachable code/],
  ["division", /^Division by zero|^Integer overflow/],
  ["conversion", /trunc/i],
  ["indirect_call", /call_indirect|call to a null|signature/],
  ["out_of_bounds", /^Out of bounds|outside|out-of-bounds/i],
];

/** What ended a call whose guest did not return: the meter, its stack, its memory, or a trap. */
export function endOf(error: unknown, meter: MeterState): Omit<EndedMessage, "use"> {
  // The engine adds the expression of ours that was under way.
  const detail = messageOf(error).replace(/ \(evaluating '.*$/s, "");
  if (meter.stopped === "fuel_exhausted")
    return { reason: "fuel_exhausted", kind: null, detail: "the fuel is used up" };
  if (meter.stopped === "deadline")
    return { reason: "deadline", kind: null, detail: "the deadline has passed" };
  if (error instanceof ComponentError && error.code === "component_too_large")
    return { reason: "memory_limit", kind: null, detail };
  if (error instanceof RangeError && /call stack/.test(detail))
    return { reason: "stack_overflow", kind: null, detail: "the stack is used up" };
  if (error instanceof WebAssembly.RuntimeError) {
    if (meter.growDenied)
      return { reason: "memory_limit", kind: null, detail: `a trap after memory was refused: ${detail}` };
    const kind = KINDS.find(([, words]) => words.test(detail))?.[0] ?? "other";
    return { reason: "trap", kind, detail };
  }
  if (error instanceof Exception)
    return { reason: "trap", kind: "uncaught_exception", detail: "an exception that nobody caught" };
  if (error instanceof AbiError) return { reason: "trap", kind: "abi", detail };
  return { reason: "trap", kind: "other", detail };
}
