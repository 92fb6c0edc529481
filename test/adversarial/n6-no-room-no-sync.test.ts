import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { payloadOf, readRows } from "../ledger/forge.ts";
import { requireTool } from "../require-tool.ts";
import { madeCalls, strace } from "../strace.ts";
import { silent, startUpstream, type Upstream } from "../upstream.ts";
import { WireAgent, type WireAnswer, WireOperator } from "../wire-client.ts";

const withStrace = requireTool("strace", "apt-get install strace");
const withPrlimit = requireTool("prlimit", "apt-get install util-linux");

let upstream: Upstream;
let scratch: string;
beforeAll(async () => {
  upstream = await startUpstream();
  scratch = mkdtempSync(join(tmpdir(), "latchgate-n6-"));
});
afterAll(async () => {
  await upstream[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true, force: true });
});

const start = () => startGate({ policy: openPolicy(), ...upstream.setup });

/** Calls until one does not succeed. */
async function callUntilRefused(
  agent: WireAgent,
  most: number,
): Promise<{ done: number; refused: WireAnswer }> {
  for (let done = 0; done < most; done++) {
    const answer = await agent.execute("http_fetch", { url: upstream.url });
    if (answer.status !== 200) return { done, refused: answer };
  }
  throw new Error(`${most} calls went through where the ledger could not be written`);
}

/** The gate ended by itself; started again, it is whole, and each effect stands behind a durable grant. */
async function recovers(ended: GateProcess, effects: number): Promise<void> {
  expect(await ended.exited).not.toBe(0);
  const gate = await ended.restart({ wrapper: [] });
  try {
    const { code, stdout } = await gate.run(
      "verify",
      gate.ledger,
      "--trust",
      gate.fingerprint,
      "--strict",
      "--json",
    );
    expect({ code, stdout: JSON.parse(stdout) }).toMatchObject({ code: 0, stdout: { verdict: "intact" } });
    const entries = readRows(gate.ledger).map(payloadOf);
    const of = (type: string) => entries.filter((entry) => entry.type === type);
    expect(of("call.granted").length).toBeGreaterThanOrEqual(effects);
    expect(of("call.receipt").length).toBe(of("call.granted").length);
    const agent = await WireAgent.connect(gate.clientSocket);
    const before = upstream.requests.length;
    expect((await agent.execute("http_fetch", { url: upstream.url })).status).toBe(200);
    expect(upstream.requests.length).toBe(before + 1);
    expect(await gate.stop()).toBe(0);
  } finally {
    await gate[Symbol.asyncDispose]();
  }
}

withPrlimit(
  "when a file can't grow, calls are refused, none is unrecorded, and the gate stops",
  async () => {
    const first = await start();
    await first.stop();
    const gate = await first.restart({ wrapper: ["prlimit", "--fsize=262144", "--"] });
    const agent = await WireAgent.connect(gate.clientSocket);
    const before = upstream.requests.length;
    const { done, refused } = await callUntilRefused(agent, 200);
    expect(refused).toMatchObject({ status: 503, body: { error: "store_unavailable" } });
    const effects = upstream.requests.length - before;
    // The one that was refused may have had its effect only behind a grant that was durable.
    expect([done, done + 1]).toContain(effects);
    await recovers(gate, effects);
  },
  60_000,
);

const FAULTS = [
  {
    file: "ledger.db-wal",
    call: "fsync",
    error: "EIO",
    shares: [0.3, 0.8],
    what: "sync of a grant or a receipt",
  },
  {
    file: "payloads.db-wal",
    call: "fsync,fdatasync",
    error: "EIO",
    shares: [0.3, 0.8],
    what: "sync of a payload",
  },
  {
    file: "ledger.db-wal",
    call: "pwrite64",
    error: "ENOSPC",
    shares: [0.3, 0.45, 0.7, 0.95],
    what: "write to the log",
  },
  {
    file: "payloads.db-wal",
    call: "pwrite64",
    error: "ENOSPC",
    shares: [0.1, 0.6],
    what: "write of a payload",
  },
] as const;

for (const { file, call, error, shares, what } of FAULTS)
  for (const share of shares)
    withStrace(
      `${error} on a ${what}, at ${share} of a call: refused, and no effect without a durable grant`,
      async () => {
        const log = join(scratch, `${file}-${call}-${share}.log`);
        const made = () => madeCalls(log, new RegExp(`^(\\d+) +(${call.replace(",", "|")})\\(`));
        const first = await start();
        await first.stop();
        const path = join(first.dir, file);
        const counted = await first.restart({ wrapper: strace(log, call, { path }) });
        const counter = await WireAgent.connect(counted.clientSocket);
        const ready = made();
        expect((await counter.execute("http_fetch", { url: upstream.url })).status).toBe(200);
        const nth = ready + Math.max(1, Math.ceil(share * (made() - ready)));
        await counted.stop();

        const inject = `${call}:error=${error}:when=${nth}+`;
        const gate = await counted.restart({ wrapper: strace(log, `${call},connect`, { path, inject }) });
        const agent = await WireAgent.connect(gate.clientSocket);
        const before = upstream.requests.length;
        // Threads take turns at syncs and are counted apart: the fault may meet a later call than the first.
        const { done, refused } = await callUntilRefused(agent, 50);
        expect(readFileSync(log, "utf8")).toContain("(INJECTED)");
        expect(refused).toMatchObject({ status: 503, body: { error: "store_unavailable" } });
        const effects = upstream.requests.length - before;
        expect([done, done + 1]).toContain(effects);
        if (call === "fsync") expect({ done, effects }).toEqual({ done: 0, effects: share < 0.5 ? 0 : 1 });
        await recovers(gate, effects);
      },
      60_000,
    );

test("under back-pressure a call is refused with its receipt, and nothing of it reaches the upstream", async () => {
  await using hanging = await startUpstream(silent);
  await using gate = await startGate({
    policy: openPolicy(),
    ...hanging.setup,
    config: `${hanging.setup.config}\n[sandbox]\nrunners = 1\nmax_in_flight = 1\nqueue = 0\n`,
  });
  const agent = await WireAgent.connect(gate.clientSocket);
  const running = agent.execute("http_fetch", { url: hanging.url });
  await hanging.arrived(1);
  const refused = await agent.execute("http_fetch", { url: hanging.url });
  expect(refused).toMatchObject({
    status: 503,
    body: { error: "overloaded", status: "failed", dispatched: "no", failure: "overloaded" },
  });
  expect(hanging.requests).toHaveLength(1);
  await (await WireOperator.of(gate)).call("POST", "/v1/admin/revoke-all");
  await running;
  const verified = await gate.run("verify", gate.ledger, "--trust", gate.fingerprint, "--strict");
  expect(verified).toMatchObject({ code: 0, stdout: expect.stringContaining("2 grants, 2 receipts") });
});
