import { LatchGateError } from "../core/errors.ts";

/** What scripts branch on; stable. 10 to 15 belong to `verify`. */
export const EXIT = {
  done: 0,
  error: 1,
  usage: 2,
  notFound: 3,
  denied: 4,
  unreachable: 5,
  held: 6,
  unconfirmed: 7,
} as const;

/** The command line cannot be understood: exit 2. */
export class UsageError extends LatchGateError {
  constructor(message: string, hint?: string) {
    super("usage", message, hint === undefined ? {} : { hint });
  }
}

/** An end that is no failure of the program and yet not success: carries its own exit code. */
export class EndedError extends LatchGateError {
  readonly exitCode: number;

  constructor(exitCode: number, code: string, message: string, hint?: string) {
    super(code, message, hint === undefined ? {} : { hint });
    this.exitCode = exitCode;
  }
}

const BY_CODE: Readonly<Record<string, number>> = {
  bad_request: EXIT.usage,
  gate_unreachable: EXIT.unreachable,
  gate_not_configured: EXIT.unreachable,
  effect_unknown: EXIT.unconfirmed,
  evidence_persistence_failed: EXIT.unconfirmed,
  indeterminate: EXIT.unconfirmed,
  budget_exhausted: EXIT.denied,
};

/**
 * The exit code for anything thrown. A refusal of a call that was dispatched: 7. Otherwise its
 * status decides: 401 and 403 denied, 404 not found, all else (409, 422, 429, 5xx) an error.
 */
export function exitCodeFor(error: unknown): number {
  if (error instanceof EndedError) return error.exitCode;
  if (error instanceof UsageError) return EXIT.usage;
  if (!(error instanceof LatchGateError)) return EXIT.error;
  const { status, mayHaveRun } = refusal(error);
  if (mayHaveRun) return EXIT.unconfirmed;
  // A 400 of the gate is an error of the request that it judged, not of the command line.
  if (status === null || error.code !== "bad_request") {
    const code = BY_CODE[error.code];
    if (code !== undefined) return code;
  }
  if (status === 401 || status === 403) return EXIT.denied;
  if (status === 404) return EXIT.notFound;
  return EXIT.error;
}

/** What a `GateError` has, read by shape so that printing an error does not load the client. */
function refusal(error: LatchGateError): { status: number | null; mayHaveRun: boolean } {
  const status = "status" in error && typeof error.status === "number" ? error.status : null;
  const mayHaveRun = "mayHaveRun" in error && error.mayHaveRun === true;
  return { status, mayHaveRun };
}
