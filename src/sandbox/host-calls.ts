import type { HostAnswer, HostCall, HostCallKind } from "../core/host-call.ts";
import { ProtocolError } from "./protocol/frame.ts";
import { decodeValue, encodeValue, WireReader, WireWriter } from "./protocol/value.ts";
import type { WitValue } from "./wit/type.ts";
import { FS_ERRORS, WORLD_FUNCTIONS, type WorldFunction } from "./wit/world.ts";

export interface AskedCall {
  readonly declared: WorldFunction;
  readonly call: HostCall;
}

/** Reads a host call as the runner sent it. Throws {@link ProtocolError}. The runner is not trusted. */
export function decodeHostCall(payload: Uint8Array): AskedCall {
  const from = new WireReader(payload);
  const declared = WORLD_FUNCTIONS[from.u8()];
  const param = declared?.params[0];
  if (declared === undefined || param === undefined || !("host" in declared.serves))
    throw new ProtocolError("host call to a function that nothing serves");
  const request = decodeValue(param, from);
  from.end();
  return { declared, call: hostCall(declared.serves.host, request) };
}

/** The parameter records of the world have the members of `HostCall`; decoding has checked each of them. */
function hostCall(kind: HostCallKind, request: WitValue): HostCall {
  // decodeValue gives exactly the members and types of the function's one parameter, which is a record.
  return { kind, ...(request as object) } as HostCall;
}

/** The broker's answer as the component gets it. Throws when the broker gave a value that the world cannot carry. */
export function encodeHostAnswer(declared: WorldFunction, answer: HostAnswer): Uint8Array {
  if (declared.result === null) throw new TypeError("a host call has a result");
  const to = new WireWriter();
  if ("err" in answer) {
    const err = declared.interface === "io-fs" ? fsError(answer.err) : answer.err;
    encodeValue(declared.result, { err }, to);
  } else {
    // HostAnswer's members are those of the world's result records, in camel case.
    encodeValue(declared.result, { ok: answer.ok as unknown as WitValue }, to);
  }
  return to.done();
}

/**
 * A code of `HostErrorCode` as a case of `fs-error`. Codes that the world does not have become the nearest case; the
 * receipt keeps the true one, as the host recorded it.
 */
function fsError(code: string): string {
  const name = code.replaceAll("_", "-");
  if (FS_ERRORS.some((known) => known === name)) return name;
  return code === "not_granted" || code === "differs_from_plan" ? "operation-not-allowed" : "io-error";
}
