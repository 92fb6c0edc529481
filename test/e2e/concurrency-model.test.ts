/** Many agents and operators at once, in seeded random order, against a model small enough to be believed. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { verifyLedger } from "../independent/verify.ts";
import { payloadOf, readRows } from "../ledger/forge.ts";
import { type Random, seeded } from "../soak/random.ts";
import { freshKey, WireAgent, type WireAnswer, type WireKey, WireOperator } from "../wire-client.ts";
import { startUpstream, type Upstream, withUpstream } from "./upstream-server.ts";

let upstream: Upstream;
beforeAll(async () => {
  upstream = await startUpstream();
});
afterAll(() => upstream.close());

const QUORUM = 2;
const BUDGET = 6;
const BATCHES = 30;

/** A session as the model knows it. */
interface Session {
  readonly agent: WireAgent;
  readonly epoch: number;
  /** Calls that ended in an effect, or may have. */
  spent: number;
}

interface Hold {
  readonly id: string;
  readonly name: string;
  readonly session: Session;
  readonly votes: Set<string>;
  state: "pending" | "over";
}

type Operation =
  | { readonly kind: "connect" | "rotate" | "revoke" }
  | { readonly kind: "post" | "delete"; readonly session: Session; readonly name: string }
  | { readonly kind: "approve" | "deny"; readonly hold: Hold; readonly by: "first" | "second" };

class Model {
  readonly sessions: Session[] = [];
  readonly holds: Hold[] = [];
  epoch = 0;
  revocations = 0;
  rotations = 0;
  /** Receipts that some answer named as executed. */
  readonly answered = new Set<string>();
  /** Effects that an answer promised, by name. */
  readonly promised = new Set<string>();
  readonly prefix: string;
  private names = 0;

  constructor(seed: number) {
    this.prefix = `effect-${seed}-`;
  }

  draw(random: Random): Operation {
    const kind = random.pick(
      "post post post delete delete delete approve approve approve approve deny connect connect".split(" "),
    );
    const rare = random.below(60);
    if (rare === 0) return { kind: "revoke" };
    if (rare === 1) return { kind: "rotate" };
    const hold = this.holds.length > 0 ? random.pick(this.holds.slice(-12)) : null;
    if ((kind === "approve" || kind === "deny") && hold !== null)
      return { kind, hold, by: random.pick(["first", "second"] as const) };
    if ((kind === "post" || kind === "delete") && this.sessions.length > 0)
      return { kind, session: random.pick(this.sessions.slice(-8)), name: `${this.prefix}${this.names++}` };
    return { kind: "connect" };
  }

  /** More calls of one session at once than its budget has. */
  burst(random: Random): Operation[] {
    const session = random.pick(this.sessions);
    return Array.from({ length: BUDGET + 3 }, () => ({
      kind: "post",
      session,
      name: `${this.prefix}${this.names++}`,
    }));
  }

  /** What must be so of an answer, given the others that ran beside it; the model then knows the outcome. */
  settle(operation: Operation, answer: WireAnswer | WireAgent, batch: readonly Operation[]): void {
    const revoking = batch.some(({ kind }) => kind === "revoke");
    if (answer instanceof WireAgent) {
      if (!revoking) this.sessions.push({ agent: answer, epoch: this.epoch, spent: 0 });
      return;
    }
    const said = {
      ...operation,
      session: undefined,
      hold: undefined,
      status: answer.status,
      text: answer.text,
    };
    const must = (holds: boolean) => expect({ ...said, holds }).toEqual({ ...said, holds: true });
    if (operation.kind === "rotate" || operation.kind === "revoke") {
      must(answer.status === 200);
      if (operation.kind === "rotate") this.rotations++;
      else this.revocations++;
      return;
    }
    if (operation.kind === "post" || operation.kind === "delete") {
      const { session, name } = operation;
      const good = operation.kind === "post" ? 200 : 202;
      if (session.epoch !== this.epoch) must(answer.status === 401);
      if (session.spent >= BUDGET) must(answer.status !== 200);
      const rivals = batch.filter((other) => sessionOf(other) === session).length;
      if (!revoking && session.epoch === this.epoch && session.spent + rivals <= BUDGET)
        must(answer.status === good);
      if (answer.status === 200) this.ran(answer, name);
      if (answer.status === 202)
        this.holds.push({ id: answer.body.approval_id, name, session, votes: new Set(), state: "pending" });
      return;
    }
    if (operation.kind !== "approve" && operation.kind !== "deny") return;
    const { hold, kind, by } = operation;
    const rivals = batch.filter((other) => "hold" in other && other.hold === hold);
    // One that was decided before is told how it ended, with the receipt that it has.
    const ran = answer.status === 200 && answer.body.decision === "executed";
    if (kind === "deny") must(!ran);
    // An approval alone completes the quorum only with another key's vote before or beside it.
    const denied = rivals.some((other) => other.kind === "deny");
    const voters = new Set([...hold.votes, ...rivals.flatMap((other) => ("by" in other ? [other.by] : []))]);
    if (ran && !this.answered.has(answer.body.receipt_id)) {
      must(hold.state === "pending" && hold.session.epoch === this.epoch && voters.size >= QUORUM);
      this.ran(answer, hold.name);
    }
    if (denied || revoking || hold.state !== "pending") return;
    // Undisturbed, a vote does what it says: it counts, or with the quorum met the call runs.
    const rival = batch.filter((other) => sessionOf(other) === hold.session).length;
    if (rivals.length === 1 && hold.session.epoch === this.epoch && hold.session.spent + rival <= BUDGET)
      must(voters.size >= QUORUM ? ran : answer.body.decision === "pending_approval");
    hold.votes.add(by);
  }

  private ran(answer: WireAnswer, name: string): void {
    expect(answer.body.decision).toBe("executed");
    this.answered.add(answer.body.receipt_id);
    this.promised.add(name);
  }

  /** After a batch everything has been answered: what was spent, and which holds are over, is certain. */
  advance(gate: GateProcess, batch: readonly Operation[]): void {
    this.epoch += batch.filter(({ kind }) => kind === "revoke").length;
    const granted = new Map<string, number>();
    const over = new Set<unknown>();
    for (const row of readRows(gate.ledger)) {
      const entry = payloadOf(row);
      if (entry.type === "call.granted") {
        const session = entry.session_id as string;
        granted.set(session, (granted.get(session) ?? 0) + 1);
        over.add((entry.cause as { approval_id: string | null }).approval_id);
      }
      if (entry.type === "approval.decided" && entry.decision !== "approve") over.add(entry.approval_id);
    }
    for (const session of this.sessions) session.spent = granted.get(session.agent.session) ?? 0;
    for (const hold of this.holds) if (over.has(hold.id)) hold.state = "over";
  }
}

const sessionOf = (operation: Operation): Session | null =>
  "session" in operation ? operation.session : "hold" in operation ? operation.hold.session : null;

async function perform(
  operation: Operation,
  gate: GateProcess,
  operators: Readonly<Record<"first" | "second", WireOperator>>,
): Promise<WireAnswer | WireAgent> {
  switch (operation.kind) {
    case "connect":
      return WireAgent.connect(gate.clientSocket, { maxCalls: BUDGET });
    case "rotate":
      return operators.first.call("POST", "/v1/admin/rotate-keys", '{"purpose":"evidence"}');
    case "revoke":
      return operators.second.call("POST", "/v1/admin/revoke-all");
    case "post":
      return operation.session.agent.execute("http_post", {
        url: `${upstream.origin}/${operation.name}`,
        body: 1,
      });
    case "delete":
      return operation.session.agent.execute("http_delete", { url: `${upstream.origin}/${operation.name}` });
    case "approve":
      return operators[operation.by].approve(operation.hold.id);
    case "deny":
      return operators[operation.by].deny(operation.hold.id);
  }
}

/** The log read once from its start: what no order of events may lead to. */
function judgeLog(gate: GateProcess, model: Model): void {
  const leases = new Map<unknown, { epoch: number; grants: number }>();
  const holds = new Map<unknown, { approvers: Set<unknown>; over: boolean; epoch: number }>();
  const receipts = new Map<unknown, string>();
  const executed = new Set<string>();
  let [epoch, revocations, rotations, grants] = [0, 0, 0, 0];
  // biome-ignore lint/suspicious/noExplicitAny: signed payloads of all types, read by name
  for (const entry of readRows(gate.ledger).map(payloadOf) as any[]) {
    const at = (holds: boolean) => expect({ entry, holds }).toEqual({ entry, holds: true });
    if (entry.type === "revocation") {
      epoch++;
      revocations++;
    } else if (entry.type === "key.rotated") rotations++;
    else if (entry.type === "lease.issued") leases.set(entry.session_id, { epoch, grants: 0 });
    else if (entry.type === "call.held")
      holds.set(entry.approval_id, { approvers: new Set(), over: false, epoch });
    else if (entry.type === "approval.decided") {
      const hold = holds.get(entry.approval_id);
      at(hold !== undefined && !hold.over);
      if (entry.decision === "approve") hold?.approvers.add(entry.operator.jkt);
      else if (hold !== undefined) hold.over = true;
    } else if (entry.type === "call.granted") {
      grants++;
      const lease = leases.get(entry.session_id);
      at(lease !== undefined && lease.epoch === epoch && ++lease.grants <= BUDGET);
      const hold = holds.get(entry.cause.approval_id);
      at(entry.action_id === "http_post" ? hold === undefined : hold?.over === false);
      if (hold === undefined) continue;
      at(hold.approvers.size >= QUORUM && hold.epoch === epoch);
      hold.over = true;
    } else if (entry.type === "call.receipt") {
      at(!receipts.has(entry.grant_id));
      receipts.set(entry.grant_id, entry.status);
      if (entry.status === "executed") executed.add(entry.receipt_id);
    }
  }
  expect([revocations, rotations, receipts.size]).toEqual([model.revocations, model.rotations, grants]);
  // A call that was answered has its receipt. Only one whose caller was cut off by a revocation may have one more.
  for (const receipt of model.answered) expect(executed).toContain(receipt);
  if (revocations === 0) expect(executed.size).toBe(model.answered.size);
  const sent = upstream.requests
    .map(({ target }) => target.slice(1))
    .filter((name) => name.startsWith(model.prefix));
  expect(new Set(sent).size).toBe(sent.length);
  for (const name of model.promised) expect(sent).toContain(name);
  const dispatchable = [...receipts.values()].filter((status) => status !== "failed").length;
  expect(sent.length).toBeGreaterThanOrEqual(executed.size);
  expect(sent.length).toBeLessThanOrEqual(dispatchable);
}

async function start(second: WireKey): Promise<GateProcess> {
  const quorum = { low: QUORUM, medium: QUORUM, high: QUORUM, critical: QUORUM };
  return startGate(
    withUpstream(upstream, ["http_post", "http_delete"], {
      policy: openPolicy(undefined, { approvals: { quorum } }),
      config: `[operators.second]\nthumbprint = "${second.jkt}"`,
    }),
  );
}

for (const seed of [1, 2, 3])
  test(`whatever the order, the log and the effects are ones that the model allows (seed ${seed})`, async () => {
    const random = seeded(seed);
    const key = await freshKey();
    await using gate = await start(key);
    const operators = {
      first: await WireOperator.of(gate),
      second: new WireOperator(gate.adminSocket, key, "second"),
    };
    const before = upstream.requests.length;
    const model = new Model(seed);
    for (let i = 0; i < BATCHES; i++) {
      const batch =
        model.sessions.length > 0 && random.below(8) === 0
          ? model.burst(random)
          : Array.from({ length: 1 + random.below(10) }, () => model.draw(random));
      const answers = await Promise.allSettled(batch.map((one) => perform(one, gate, operators)));
      for (const [n, answer] of answers.entries()) {
        const operation = batch[n];
        if (operation === undefined) continue;
        // Only a lease may fail to come about, beside a revocation.
        if (answer.status === "fulfilled") model.settle(operation, answer.value, batch);
        else expect(batch.some(({ kind }) => kind === "revoke") && operation.kind === "connect").toBe(true);
      }
      model.advance(gate, batch);
    }
    judgeLog(gate, model);
    expect(upstream.requests.length - before).toBeGreaterThan(10);
    expect(model.holds.filter(({ state }) => state === "over").length).toBeGreaterThan(3);
    expect(await gate.stop()).toBe(0);
    expect(verifyLedger(gate.ledger, gate.fingerprint)).toMatchObject({
      faults: [],
      verdict: "intact",
      unresolved: 0,
    });
  }, 60_000);
