/**
 * Kills a gate again and again at seeded moments under load and holds what it leaves to its promises: the chain whole,
 * every grant terminal, no effect without a grant, none twice, budgets that add up.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startUpstream, withUpstream } from "../e2e/upstream-server.ts";
import { openPolicy, startGate } from "../gate-process.ts";
import { type Random, seeded } from "./random.ts";
import { Rounds } from "./rounds.ts";

export interface SoakReport {
  readonly rounds: number;
  readonly calls: number;
  readonly effects: number;
  readonly grants: number;
  readonly indeterminate: number;
  readonly cuts: number;
  /** What was not as promised; empty when all was. */
  readonly faults: readonly string[];
}

/** Rounds after which a new gate begins: everything is checked from its start each time. */
const ROUNDS_OF_A_GATE = 8;

export async function soak(options: {
  readonly rounds: number;
  readonly seed: number;
  /** How many cuts of the write-ahead log are opened per round; all frames when there are fewer. */
  readonly cuts: number;
  readonly progress?: (round: number) => void;
}): Promise<SoakReport> {
  const random = seeded(options.seed);
  let total: SoakReport = {
    rounds: 0,
    calls: 0,
    effects: 0,
    grants: 0,
    indeterminate: 0,
    cuts: 0,
    faults: [],
  };
  // The first fault ends it: what comes after would only be its consequence.
  while (total.rounds < options.rounds && total.faults.length === 0) {
    const rounds = Math.min(ROUNDS_OF_A_GATE, options.rounds - total.rounds);
    const done = total.rounds;
    const part = await soakOne(random, rounds, options.cuts, (round) => options.progress?.(done + round));
    total = {
      rounds: done + part.rounds,
      calls: total.calls + part.calls,
      effects: total.effects + part.effects,
      grants: total.grants + part.grants,
      indeterminate: total.indeterminate + part.indeterminate,
      cuts: total.cuts + part.cuts,
      faults: [...total.faults, ...part.faults.map((fault) => `from round ${done}: ${fault}`)],
    };
  }
  return total;
}

async function soakOne(
  random: Random,
  rounds: number,
  cuts: number,
  progress: (round: number) => void,
): Promise<SoakReport> {
  const upstream = await startUpstream();
  // Cuts are copies that are opened and thrown away: in memory where there is room for that.
  const memory = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  const scratch = mkdtempSync(join(memory, "latchgate-soak-"));
  let gate = await startGate(
    withUpstream(upstream, ["http_post", "http_delete"], {
      policy: openPolicy(),
      files: { "src/.keep": "" },
    }),
  );
  const run = new Rounds(upstream, random, join(scratch, "cut.db"));
  try {
    let round = 0;
    for (; round < rounds && run.faults.length === 0; round++) {
      progress(round);
      const jobs = await run.load(gate, round);
      run.cutLog(gate.ledger, cuts);
      gate = await gate.restart();
      await run.check(gate, `round ${round}, restarted`);
      await run.retry(gate, jobs);
      await run.check(gate, `round ${round}, retried`);
    }
    if ((await gate.stop()) !== 0) run.faults.push("the gate does not stop in good order");
    return { ...run.totals(gate), rounds: round };
  } finally {
    await gate[Symbol.asyncDispose]();
    await upstream.close();
    rmSync(scratch, { recursive: true, force: true });
  }
}
