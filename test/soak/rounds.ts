/** What the rounds of one gate do to it, and what must hold after each. */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { LedgerReader } from "../../src/ledger/reader.ts";
import type { Upstream } from "../e2e/upstream-server.ts";
import type { GateProcess } from "../gate-process.ts";
import { verifyLedger } from "../independent/verify.ts";
import { payloadOf, readRows } from "../ledger/forge.ts";
import { WireAgent, type WireAnswer, WireOperator } from "../wire-client.ts";
import type { Random } from "./random.ts";
import type { SoakReport } from "./soak.ts";
import { frames, openCut } from "./wal.ts";

/** One call with an effect that can be told from all others by its name. */
export interface Job {
  /** In the URL or the file's name. */
  readonly name: string;
  readonly kind: "post" | "delete" | "write";
  readonly agent: WireAgent;
  answer: WireAnswer | null;
  approval: string | null;
  approved: WireAnswer | null;
}

const BUDGET = 12;

export class Rounds {
  readonly faults: string[] = [];
  private readonly upstream: Upstream;
  private readonly random: Random;
  private readonly copy: string;
  private readonly jobs: Job[] = [];
  /** Files that were there when the gate had been killed, by job. */
  private readonly written = new Set<string>();
  /** Calls on whose granted targets the effects are judged, by commitment. */
  private readonly targets = new Map<string, string>();
  private cuts = 0;

  constructor(upstream: Upstream, random: Random, copy: string) {
    this.upstream = upstream;
    this.random = random;
    this.copy = copy;
  }

  /** Calls of all kinds at once, and a kill at a moment that the seed decides. */
  async load(gate: GateProcess, round: number): Promise<readonly Job[]> {
    const operator = await WireOperator.of(gate);
    const agents = await Promise.all(
      Array.from({ length: 3 }, () => WireAgent.connect(gate.clientSocket, { maxCalls: BUDGET })),
    );
    const jobs = Array.from({ length: 24 }, (_, i): Job => {
      const kind = this.random.pick(["post", "post", "delete", "write"] as const);
      const agent = this.random.pick(agents);
      return { name: `job-${round}-${i}-end`, kind, agent, answer: null, approval: null, approved: null };
    });
    this.jobs.push(...jobs);
    const work = Promise.allSettled(jobs.map((job) => this.attempt(job, operator)));
    // The moment is the point: after so many effects, and then some milliseconds, most of them within a call.
    await Promise.race([this.upstream.arrived(this.upstream.requests.length + this.random.below(12)), work]);
    await Bun.sleep(this.random.below(40));
    await gate.kill();
    await work;
    this.sweepFiles(gate);
    return jobs;
  }

  private async attempt(job: Job, operator: WireOperator, agent = job.agent): Promise<void> {
    const url = `${this.upstream.origin}/${job.name}`;
    const key = { "idempotency-key": job.name };
    const call = {
      post: () => agent.execute("http_post", { url, body: 1 }, key),
      delete: () => agent.execute("http_delete", { url }, key),
      write: () => agent.execute("fs_write", { path: `src/${job.name}`, content: "written" }, key),
    }[job.kind];
    job.answer = await call();
    if (job.answer.status !== 202) return;
    job.approval = job.answer.body.approval_id;
    job.approved = await operator.approve(job.answer.body.approval_id);
  }

  /** Notes the files that calls have written, and takes them away: one that comes again was written twice. */
  private sweepFiles(gate: GateProcess): void {
    for (const name of readdirSync(join(gate.root, "src"))) {
      if (name === ".keep") continue;
      if (this.written.has(name)) this.faults.push(`${name} was written twice`);
      if (/^job-\d+-\d+-end$/.test(name)) this.written.add(name);
      rmSync(join(gate.root, "src", name));
    }
  }

  /** Sends what got no answer again, as a client would, and decides again on what was held. */
  async retry(gate: GateProcess, jobs: readonly Job[]): Promise<void> {
    const operator = await WireOperator.of(gate);
    const agent = await WireAgent.connect(gate.clientSocket);
    await Promise.all(
      jobs.map(async (job) => {
        const settled = job.answer !== null && (job.answer.status !== 202 || job.approved !== null);
        // Of what was answered, a part is sent again all the same.
        if (settled && job.answer?.status !== 200 && job.approved?.status !== 200) return;
        await this.attempt(job, operator, agent);
      }),
    );
    this.sweepFiles(gate);
  }

  /** Opens the killed gate's ledger with its write-ahead log cut at frames, and within some. */
  cutLog(ledger: string, most: number): void {
    const total = frames(ledger);
    const whole = openCut(ledger, this.copy, { frame: total, more: 0, jws: null });
    this.faults.push(...whole.faults.map((fault) => `the whole write-ahead log: ${fault}`));
    const all = Array.from({ length: total }, (_, frame) => frame);
    const chosen = total <= most ? all : Array.from({ length: most }, () => this.random.below(total));
    let before = 0;
    for (const frame of chosen.sort((a, b) => a - b)) {
      const more = frame % 3 === 0 ? 0 : this.random.below(4000);
      const { jws, faults } = openCut(ledger, this.copy, { frame, more, jws: whole.jws });
      this.cuts++;
      if (jws.length < before)
        this.faults.push(`cut after ${frame} frames: fewer entries than a shorter one`);
      before = jws.length;
      this.faults.push(...faults.map((fault) => `cut after ${frame} frames and ${more} bytes: ${fault}`));
    }
  }

  /** Everything that must hold at rest, whenever. */
  async check(gate: GateProcess, when: string): Promise<void> {
    const say = (what: string) => this.faults.push(`${when}: ${what}`);
    const verified = await gate.run("verify", gate.ledger, "--trust", gate.fingerprint, "--strict", "--json");
    if (verified.code !== 0) say(`verify ends with ${verified.code}: ${verified.stdout}`);
    const second = verifyLedger(gate.ledger, gate.fingerprint);
    if (second.exit_code !== 0 || second.unresolved !== 0)
      say(`second verifier: ${second.faults.slice(0, 3)}`);
    const granted = this.grantedTargets(gate);
    const effects = this.effects();
    for (const [name, count] of effects) {
      if (!granted.has(name)) say(`${name} had its effect without a grant`);
      if (count > 1) say(`${name} had its effect ${count} times`);
    }
    for (const job of this.jobs) {
      const answer = job.approved ?? job.answer;
      if (answer?.status === 200 && !effects.has(job.name))
        say(`${job.name} was answered as done, without its effect`);
    }
    this.checkBudgets(gate, say);
  }

  private effects(): Map<string, number> {
    const counts = new Map([...this.written].map((name) => [name, 1]));
    for (const { target } of this.upstream.requests) {
      const name = target.slice(1);
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return counts;
  }

  /** The names in the plans that were granted, read through the commitments of the signed grants. */
  private grantedTargets(gate: GateProcess): Set<string> {
    const reader = new LedgerReader(gate.ledger, join(gate.dir, "payloads.db"));
    try {
      for (const { jws, type } of readRows(gate.ledger)) {
        if (type !== "call.granted") continue;
        const { commitment } = payloadOf({ jws }).call as { commitment: string };
        if (this.targets.has(commitment)) continue;
        const text = Buffer.from(reader.payload(commitment).bytes).toString();
        this.targets.set(commitment, /job-\d+-\d+-end/.exec(text)?.[0] ?? "");
      }
    } finally {
      reader.close();
    }
    return new Set(this.targets.values());
  }

  /** What a session spent is what its receipts say, and never more than it had; nothing is reserved at rest. */
  private checkBudgets(gate: GateProcess, say: (what: string) => void): void {
    const reader = new LedgerReader(gate.ledger, join(gate.dir, "payloads.db"));
    try {
      const spent = new Map<string, number>();
      let total = 0;
      for (const row of readRows(gate.ledger)) {
        if (row.type !== "call.receipt") continue;
        const { session_id, budget } = payloadOf(row) as {
          session_id: string;
          budget: { committed_calls: number };
        };
        spent.set(session_id, (spent.get(session_id) ?? 0) + budget.committed_calls);
        total += budget.committed_calls;
      }
      interface Row {
        readonly scope: string;
        readonly name: string;
        readonly max_calls: number | null;
        readonly reserved: number;
        readonly committed: number;
      }
      let perDay = 0;
      for (const row of reader.db.query<Row, []>("SELECT * FROM budgets").all()) {
        if (row.reserved !== 0) say(`${row.reserved} calls of ${row.name} are reserved at rest`);
        if (row.committed > (row.max_calls ?? row.committed)) say(`${row.name} spent more than it had`);
        if (row.scope === "principal_day") perDay += row.committed;
        else if (row.committed !== (spent.get(row.name) ?? 0))
          say(`${row.name}: ${row.committed} calls spent, receipts say ${spent.get(row.name) ?? 0}`);
      }
      if (perDay !== total) say(`${perDay} calls spent per day, receipts say ${total}`);
    } finally {
      reader.close();
    }
  }

  totals(gate: GateProcess): Omit<SoakReport, "rounds"> {
    const entries = readRows(gate.ledger).map(payloadOf);
    const effects = [...this.effects().values()].reduce((sum, count) => sum + count, 0);
    return {
      calls: this.jobs.length,
      effects,
      grants: entries.filter(({ type }) => type === "call.granted").length,
      indeterminate: entries.filter(({ status }) => status === "indeterminate").length,
      cuts: this.cuts,
      faults: this.faults,
    };
  }
}
