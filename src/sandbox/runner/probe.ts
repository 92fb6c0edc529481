import { writeSync } from "node:fs";
import { mkdir, readFile, rename, symlink, unlink } from "node:fs/promises";
import { messageOf } from "../../core/errors.ts";
import { workerEntry } from "../../core/self.ts";
import { attempt, chosenActs, type PoolAct } from "../lock/acts.ts";
import { VERDICT } from "../lock/bpf.ts";
import { openKernel } from "../lock/kernel.ts";
import { lockProcess } from "../lock/lock.ts";
import { BEFORE_ACT, type ProbeReport, TELLTALE_ERRNO } from "../lock/probe.ts";

type Tried = ProbeReport["tried"][number];

const NOWHERE = "/nowhere/at/all";
const STDOUT = 1;

/**
 * A throw-away runner that tries to get out. It locks itself as a runner does, by the same code. Without words its
 * filter answers where a runner's kills, and it tries everything from every thread; with a thread and an act it tries
 * that one thing behind a runner's own filter. It reports on stdout.
 */
export async function probeMain(words: readonly string[]): Promise<void> {
  const [thread, only] = words;
  const kernel = openKernel();
  const acts = chosenActs(process.ppid, only ?? null);
  // Threads that are there before the lock: the pool's, and a worker.
  await readFile("/dev/null");
  const worker = thread === undefined || thread === "worker" ? await startWorker() : null;
  const missing = lockProcess({
    keep: [0, STDOUT, 2],
    otherwise: only === undefined ? VERDICT.errno(TELLTALE_ERRNO) : VERDICT.killProcess,
  });
  writeSync(STDOUT, BEFORE_ACT);
  const tried: Tried[] = [];
  if (thread === undefined || thread === "main")
    for (const act of acts) tried.push(["main", act.name, attempt(kernel, act)]);
  if (thread === undefined || thread === "pool")
    for (const [name, call] of Object.entries(POOL_CALLS))
      if (only === undefined || only === name) tried.push(["pool", name, await call()]);
  if (worker !== null)
    for (const [name, result] of await worker.ask(only ?? null)) tried.push(["worker", name, result]);
  const report: ProbeReport = { missing, tried };
  writeSync(STDOUT, JSON.stringify(report));
  process.exit(0);
}

const POOL_CALLS: Readonly<Record<PoolAct, () => Promise<number>>> = {
  readFile: () => resultOf(readFile("/etc/passwd")),
  mkdir: () => resultOf(mkdir(NOWHERE)),
  symlink: () => resultOf(symlink(NOWHERE, NOWHERE)),
  rename: () => resultOf(rename(NOWHERE, NOWHERE)),
  unlink: () => resultOf(unlink(NOWHERE)),
};

/** 0, or the negative errno. */
async function resultOf(call: Promise<unknown>): Promise<number> {
  try {
    await call;
    return 0;
  } catch (error) {
    const errno = error instanceof Error && "errno" in error ? Number(error.errno) : Number.NaN;
    if (!Number.isInteger(errno) || errno === 0) throw new Error(`no errno in ${messageOf(error)}`);
    return -Math.abs(errno);
  }
}

async function startWorker() {
  const worker = new Worker(workerEntry("sandbox/runner/probe-worker.ts"));
  const next = () =>
    new Promise<unknown>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
    });
  await next();
  return {
    async ask(only: string | null): Promise<readonly (readonly [string, number])[]> {
      const answer = next();
      worker.postMessage(only);
      return (await answer) as readonly (readonly [string, number])[]; // what probe-worker.ts posts
    },
  };
}
