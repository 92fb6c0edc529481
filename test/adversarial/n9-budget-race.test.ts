import { Database } from "bun:sqlite";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { createServer } from "node:net";
import { httpText } from "../actions/manifests.ts";
import { localEgress, startUpstream, type Upstream, withUpstream } from "../e2e/upstream-server.ts";
import { type GateProcess, type GateSetup, openPolicy, startGate } from "../gate-process.ts";
import { WireAgent, type WireAnswer, WireOperator } from "../wire-client.ts";

let upstream: Upstream;
let refusedPort: number;
let gate: GateProcess | null = null;

beforeAll(async () => {
  upstream = await startUpstream({ "/held-open": () => undefined });
  const gone = createServer();
  refusedPort = await new Promise((resolve) =>
    gone.listen(0, "127.0.0.1", () => {
      const address = gone.address();
      resolve(address === null || typeof address === "string" ? 0 : address.port);
    }),
  );
  await new Promise((closed) => gone.close(closed));
});
afterAll(() => upstream.close());
afterEach(async () => {
  await gate?.[Symbol.asyncDispose]();
  gate = null;
});

async function start(setup: GateSetup = {}): Promise<GateProcess> {
  const refusing = httpText({
    id: "refusing",
    params: { type: "object" },
    http: { method: "POST", url: `https://${upstream.host}:${refusedPort}/`, body: { json: {} } },
    egress: { hosts: [{ host: upstream.host, ports: [refusedPort] }] },
  });
  const started = await startGate(
    withUpstream(upstream, ["http_post", "http_delete"], {
      policy: openPolicy(undefined, { actions: ["refusing"] }),
      actions: { "refusing.yaml": refusing },
      ...setup,
      config: `${setup.config ?? ""}\n${localEgress("refusing", refusedPort, ["POST"])}`,
    }),
  );
  gate = started;
  return started;
}

const post = (agent: WireAgent) => agent.execute("http_post", { url: `${upstream.origin}/x`, body: 1 });

function tally(answers: readonly WireAnswer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { body } of answers) {
    const key = body.error ?? body.decision;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

/** Refusals for want of budget, by policy or by a lost race, are one thing here. */
function refusals(answers: readonly WireAnswer[]): number {
  const refused = answers.filter(({ status }) => status === 403);
  for (const { body } of refused) {
    const codes = [body.error, ...(body.reasons ?? []).map(({ code }: { code: string }) => code)];
    expect(codes).toContain("budget_exhausted");
  }
  return refused.length;
}

function budget(of: GateProcess, session: string): { reserved: number; committed: number } | null {
  const db = new Database(of.ledger, { readonly: true });
  try {
    return db
      .query<{ reserved: number; committed: number }, [string]>(
        "SELECT reserved, committed FROM budgets WHERE scope = 'session' AND name = ?",
      )
      .get(session);
  } finally {
    db.close();
  }
}

describe("N9: a budget is exact under concurrency", () => {
  test("100 concurrent calls on a budget of 10 dispatch exactly 10", async () => {
    const running = await start();
    const before = upstream.requests.length;
    const agent = await WireAgent.connect(running.clientSocket, { maxCalls: 10 });
    const answers = await Promise.all(Array.from({ length: 100 }, () => post(agent)));
    expect(answers.filter(({ status }) => status === 200).length).toBe(10);
    expect(refusals(answers)).toBe(90);
    expect(upstream.requests.length - before).toBe(10);
    expect(budget(running, agent.session)).toEqual({ reserved: 0, committed: 10 });
  }, 60_000);

  test("what provably never left is given back, exactly once, and can then be spent", async () => {
    const running = await start();
    const before = upstream.requests.length;
    const agent = await WireAgent.connect(running.clientSocket, { maxCalls: 10 });
    const failed = await Promise.all(Array.from({ length: 100 }, () => agent.execute("refusing", {})));
    const counts = tally(failed);
    expect((counts.action_execution_failed ?? 0) + refusals(failed)).toBe(100);
    expect(counts.action_execution_failed).toBeGreaterThanOrEqual(10);
    expect(budget(running, agent.session)).toEqual({ reserved: 0, committed: 0 });
    const answers = await Promise.all(Array.from({ length: 40 }, () => post(agent)));
    expect(answers.filter(({ status }) => status === 200).length).toBe(10);
    expect(upstream.requests.length - before).toBe(10);
    expect(budget(running, agent.session)).toEqual({ reserved: 0, committed: 10 });
  }, 60_000);

  test("failures and successes at once: each success is spent, each failure is not", async () => {
    const running = await start();
    const before = upstream.requests.length;
    const agent = await WireAgent.connect(running.clientSocket, { maxCalls: 10 });
    const mixed = await Promise.all(
      Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? post(agent) : agent.execute("refusing", {}))),
    );
    const done = mixed.filter(({ status }) => status === 200).length;
    expect(upstream.requests.length - before).toBe(done);
    expect(budget(running, agent.session)).toEqual({ reserved: 0, committed: done });
    const rest = await Promise.all(Array.from({ length: 30 }, () => post(agent)));
    expect(done + rest.filter(({ status }) => status === 200).length).toBe(10);
  }, 60_000);

  test("a budget outlives a killed gate, and what was under way then is spent", async () => {
    const running = await start();
    const before = upstream.requests.length;
    const agent = await WireAgent.connect(running.clientSocket, { maxCalls: 10 });
    for (let i = 0; i < 3; i++) expect((await post(agent)).status).toBe(200);
    const cut = agent
      .execute("http_post", { url: `${upstream.origin}/held-open`, body: 1 })
      .catch(() => null);
    await upstream.arrived(before + 4);
    await running.kill();
    expect(await cut).toBeNull();
    const again = await running.restart();
    gate = again;
    const answers = await Promise.all(Array.from({ length: 50 }, () => post(agent)));
    expect(answers.filter(({ status }) => status === 200).length).toBe(6);
    expect(upstream.requests.length - before).toBe(10);
    expect(budget(again, agent.session)).toEqual({ reserved: 0, committed: 10 });
  }, 60_000);

  test("an account's ceiling per day holds across its leases, and across a restart", async () => {
    const uid = process.getuid?.() ?? 0;
    const setup = withUpstream(upstream, ["http_post"]);
    const started = await startGate({
      policy: openPolicy(),
      files: {
        ...setup.files,
        ".latchgate/latchgate.toml": `${setup.config}\n[identity.principals.${uid}]\nmax_calls_per_day = 10\n`,
      },
    });
    gate = started;
    const before = upstream.requests.length;
    const leases = await Promise.all(
      Array.from({ length: 5 }, () => WireAgent.connect(started.clientSocket)),
    );
    const answers = await Promise.all(
      leases.flatMap((lease) => Array.from({ length: 5 }, () => post(lease))),
    );
    expect(answers.filter(({ status }) => status === 200).length).toBe(10);
    expect(upstream.requests.length - before).toBe(10);
    expect(await started.stop()).toBe(0);
    gate = await started.restart();
    const fresh = await WireAgent.connect(gate.clientSocket);
    expect((await post(fresh)).body).toMatchObject({
      error: "policy_denied",
      deny_reason: "budget exhausted",
    });
  }, 60_000);

  test("approvals spend the same budget: of 8 held calls approved at once, 3 run on a budget of 3", async () => {
    const running = await start();
    const before = upstream.requests.length;
    const agent = await WireAgent.connect(running.clientSocket, { maxCalls: 3 });
    const operator = await WireOperator.of(running);
    const held = await Promise.all(
      Array.from({ length: 8 }, () => agent.execute("http_delete", { url: `${upstream.origin}/x` })),
    );
    expect(held.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 202));
    const answers = await Promise.all(held.map(({ body }) => operator.approve(body.approval_id)));
    expect(answers.filter(({ status }) => status === 200).length).toBe(3);
    expect(refusals(answers)).toBe(5);
    expect(upstream.requests.length - before).toBe(3);
    expect(budget(running, agent.session)).toEqual({ reserved: 0, committed: 3 });
  }, 60_000);
});
