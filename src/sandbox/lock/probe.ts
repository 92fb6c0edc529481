import { LatchGateError } from "../../core/errors.ts";
import { RUNNER_COMMAND, RUNNER_MODE } from "../runner-command.ts";
import { type Answer, chosenActs, forbiddenActs, POOL_ACTS, THREADS, type Thread } from "./acts.ts";
import { LAYER_TEXT, type MissingLayer } from "./layers.ts";

/** What the probe's filter answers where a runner's kills: an errno that none of the acts has otherwise (ENOTNAM). */
export const TELLTALE_ERRNO = 118;
/** Written before the first act: what ends the process earlier is no proof. */
export const BEFORE_ACT = "locked\n";

/** Results are those of the system call: negative is an errno. */
export interface ProbeReport {
  readonly missing: readonly MissingLayer[];
  readonly tried: readonly (readonly [thread: Thread, act: string, result: number])[];
}

const RESULT: Readonly<Record<Answer, number>> = {
  otherwise: -TELLTALE_ERRNO,
  EPERM: -1,
  EINVAL: -22,
  ENOSYS: -38,
};

/** One act that a runner's own filter has to answer with death, from a thread that is older than the lock. */
const DEADLY: readonly (readonly [Thread, string])[] = [["worker", "socket"]];

export interface ProbeOptions {
  /** Command line of this program, up to its subcommand. */
  readonly self: readonly string[];
  /** Try every deadly act from every thread on its own behind a runner's filter, not just one. */
  readonly thorough?: boolean;
  readonly timeoutMs?: number;
}

/**
 * Tries to get out of runners made for it, and gives what is wrong with their lock; nothing when it holds. A filter
 * that kills ends its witness, so it is tried twice: everything behind the same program with another last verdict,
 * and single acts behind the very program, each of which must end its process with SIGSYS.
 */
export async function probeLock(options: ProbeOptions): Promise<readonly string[]> {
  const deadly = options.thorough === true ? everyDeadlyAct() : DEADLY;
  const found = await Promise.all([
    probeAnswers(options),
    inTurns(deadly, options.thorough === true ? 2 : deadly.length, ([thread, act]) =>
      probeDeath(options, thread, act),
    ),
  ]);
  return found.flat();
}

/** The same, thrown as `sandbox_layer_missing`. */
export async function requireLock(options: ProbeOptions): Promise<void> {
  const faults = await probeLock(options);
  if (faults.length > 0) throw notLocked(faults.join("; "));
}

export function notLocked(detail: string): LatchGateError {
  return new LatchGateError("sandbox_layer_missing", `runners are not locked: ${detail}`, {
    hint: "latchgate doctor shows the layers; docs/providers.md tells what each needs, and what [sandbox] unsafe_unlocked gives up",
  });
}

function expectations(): ReadonlyMap<string, number> {
  const acts = chosenActs(1, null);
  const expected = new Map<string, number>();
  for (const thread of THREADS)
    if (thread === "pool")
      for (const [name, answer] of Object.entries(POOL_ACTS))
        expected.set(`${thread} ${name}`, RESULT[answer]);
    else for (const { name, answer } of acts) expected.set(`${thread} ${name}`, RESULT[answer]);
  return expected;
}

function everyDeadlyAct(): readonly (readonly [Thread, string])[] {
  const acts = forbiddenActs(1).filter(({ answer }) => answer === "otherwise");
  const pool = Object.entries(POOL_ACTS).filter(([, answer]) => answer === "otherwise");
  return [
    ...acts.flatMap(({ name }) => [["main", name] as const, ["worker", name] as const]),
    ...pool.map(([name]) => ["pool", name] as const),
  ];
}

async function probeAnswers(options: ProbeOptions): Promise<readonly string[]> {
  const { output, ended } = await start(options, []);
  if (ended !== "status 0" || !output.startsWith(BEFORE_ACT))
    return [`the probe ended with ${ended} and ${JSON.stringify(output.slice(0, 200))}`];
  const report = JSON.parse(output.slice(BEFORE_ACT.length)) as ProbeReport; // what runner/probe.ts writes
  const faults = report.missing.map(({ layer, reason }) => `${layer} (${LAYER_TEXT[layer]}): ${reason}`);
  const expected = new Map(expectations());
  for (const [thread, act, result] of report.tried) {
    const wanted = expected.get(`${thread} ${act}`);
    if (result !== wanted) faults.push(`${act} from the ${thread} thread was answered with ${result}`);
    expected.delete(`${thread} ${act}`);
  }
  for (const left of expected.keys()) faults.push(`${left} was not tried`);
  return faults;
}

async function probeDeath(options: ProbeOptions, thread: Thread, act: string): Promise<readonly string[]> {
  const { output, ended } = await start(options, [thread, act]);
  // Nothing after the word before the act: it is what the process died of.
  if (ended === "SIGSYS" && output === BEFORE_ACT) return [];
  return [`${act} from the ${thread} thread of a locked runner ended with ${ended}, not with its death`];
}

async function start({ self, timeoutMs = 10_000 }: ProbeOptions, words: readonly string[]) {
  const child = Bun.spawn([...self, RUNNER_COMMAND, RUNNER_MODE.probe, ...words], {
    stdio: ["ignore", "pipe", "ignore"],
    env: { BUN_JSC_useWasmFastMemory: "0" },
    cwd: "/",
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  const output = await new Response(child.stdout).text();
  await child.exited;
  return { output, ended: child.signalCode ?? `status ${child.exitCode}` };
}

/** Like Promise.all over the results of `task`, with so many of them under way at a time. */
async function inTurns<T>(
  items: readonly T[],
  width: number,
  task: (item: T) => Promise<readonly string[]>,
): Promise<readonly string[]> {
  const found: string[] = [];
  const queue = [...items];
  const work = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift())
      found.push(...(await task(item)));
  };
  await Promise.all(Array.from({ length: width }, work));
  return found;
}
