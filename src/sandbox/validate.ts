import { writeSync } from "node:fs";
import { messageOf } from "../core/errors.ts";
import { ComponentError } from "./component/cursor.ts";
import type { Validator } from "./ingest.ts";
import { VERDICT } from "./lock/bpf.ts";
import { lockProcess } from "./lock/lock.ts";
import { RUNNER_COMMAND, RUNNER_MODE } from "./runner-command.ts";

/**
 * Validates a whole component with the reader of the Bytecode Alliance's own tools (through jco): every type, every
 * index, every core module, and that the canonical functions fit the modules. What jco would generate is thrown
 * away: no text that a component has a part in is ever run. Takes 50 to 100 ms, more for a large component.
 */
export const validateComponent: Validator = async (bytes) => (await openReader())(bytes);

/** Loads the reader; what it gives throws {@link ComponentError} for a component that is not valid. */
async function openReader(): Promise<(bytes: Uint8Array) => void> {
  const { $init, generate } = await import("@bytecodealliance/jco-transpile/component");
  await $init;
  return (bytes) => read(generate, bytes);
}

type Generate = typeof import("@bytecodealliance/jco-transpile/component").generate;

function read(generate: Generate, bytes: Uint8Array): void {
  try {
    generate(bytes, {
      name: "provider",
      noTypescript: true,
      instantiation: { tag: "sync" },
      noNodejsCompat: true,
      map: [],
    });
  } catch (cause) {
    throw invalid(messageOf(cause));
  }
}

export interface ChildValidatorOptions {
  /** Command line of this program, up to its subcommand. */
  readonly self: readonly string[];
  /** Whether it may do without a layer of the lock; default false. */
  readonly allowUnlocked?: boolean;
  readonly timeoutMs?: number;
}

/**
 * The same in a process of its own, so that a component which makes the validator spin, swell or crash costs the gate
 * a refusal and nothing else.
 */
export function childValidator({
  self,
  allowUnlocked = false,
  timeoutMs = 60_000,
}: ChildValidatorOptions): Validator {
  return async (bytes) => {
    const lock = allowUnlocked ? RUNNER_MODE.unlocked : RUNNER_MODE.locked;
    const child = Bun.spawn([...self, RUNNER_COMMAND, RUNNER_MODE.validate, lock], {
      stdin: bytes,
      stdout: "pipe",
      stderr: "ignore",
      env: {},
      cwd: "/",
      timeout: timeoutMs,
      killSignal: "SIGKILL",
      maxBuffer: 65_536,
    });
    const answer = await new Response(child.stdout).text();
    const code = await child.exited;
    if (code !== 0) throw invalid("the validator did not end; the component may be made to break it");
    if (answer !== VALID) throw new ComponentError("component_invalid", answer.slice(0, 1024));
  };
}

/**
 * The other side of {@link childValidator}: takes a component from stdin, locks itself as a runner does, and only then
 * looks at it. Writes one word or what is wrong.
 */
export async function validateMain(lock: string | undefined): Promise<void> {
  const bytes = await Bun.stdin.bytes();
  const validate = await openReader();
  const missing = lockProcess({ keep: [0, STDOUT], otherwise: VERDICT.killProcess });
  if (missing.length > 0 && lock !== RUNNER_MODE.unlocked)
    throw new Error(`not locked: ${missing.map(({ layer, reason }) => `${layer}: ${reason}`).join("; ")}`);
  let answer: string;
  try {
    validate(bytes);
    answer = VALID;
  } catch (error) {
    if (!(error instanceof ComponentError)) throw error;
    answer = error.message;
  }
  writeSync(STDOUT, answer);
  process.exit(0);
}

const STDOUT = 1;
const VALID = "valid";

function invalid(detail: string): ComponentError {
  return new ComponentError("component_invalid", `not a valid component: ${detail}`);
}
