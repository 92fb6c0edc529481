/** The hidden subcommand under which the binary starts itself as a runner. */
export const RUNNER_COMMAND = "__runner";

/** What it does, as the word after it. */
export const RUNNER_MODE = {
  /** Runs components, locked or not at all. */
  locked: "locked",
  /** Runs components behind the layers that this platform has. */
  unlocked: "unlocked",
  /** Validates one component, see validate.ts. */
  validate: "validate",
  /** Tries to get out, see lock/probe.ts. */
  probe: "probe",
} as const;
