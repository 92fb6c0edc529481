import { LatchGateError } from "../core/errors.ts";

/** `start_failed` and the codes of the rooms: what kept the gate from starting. */
export class StartError extends LatchGateError {}
