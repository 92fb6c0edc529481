import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { payloadOf, readRows } from "../ledger/forge.ts";
import { requireTool } from "../require-tool.ts";
import { madeCalls, strace } from "../strace.ts";
import { silent, startUpstream, type Upstream } from "../upstream.ts";
import { proof, send, WireAgent, type WireAnswer, WireOperator, type WireRequest } from "../wire-client.ts";

const withStrace = requireTool("strace", "apt-get install strace");

let upstream: Upstream;
let scratch: string;
beforeAll(async () => {
  upstream = await startUpstream();
  scratch = mkdtempSync(join(tmpdir(), "latchgate-n17-"));
});
afterAll(async () => {
  await upstream[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true, force: true });
});

const start = () =>
  startGate({
    policy: openPolicy(),
    ...upstream.setup,
    files: { ...upstream.setup.files, "src/a.txt": "old" },
  });

/** The answer, or null when the gate died before it. */
const attempt = <T>(wire: Promise<T>): Promise<T | null> => wire.catch(() => null);

/** One call, byte for byte the same whenever it is sent: one proof, one idempotency key. */
async function fetchOnce(agent: WireAgent): Promise<WireRequest> {
  const path = "/v1/actions/http_fetch/execute";
  return {
    method: "POST",
    path,
    headers: {
      authorization: `DPoP ${agent.lease}`,
      dpop: await proof(agent.key, agent.lease, "POST", path),
      "content-type": "application/json",
      "idempotency-key": "once-and-only-once",
    },
    body: JSON.stringify({ url: upstream.url }),
  };
}

/** Chain intact, every grant terminal, and as many receipts as grants. */
async function isWhole(gate: GateProcess): Promise<void> {
  const { code, stdout } = await gate.run(
    "verify",
    gate.ledger,
    "--trust",
    gate.fingerprint,
    "--strict",
    "--json",
  );
  expect({ code, stdout: JSON.parse(stdout) }).toMatchObject({
    code: 0,
    stdout: { verdict: "intact", unresolved: [] },
  });
  const types = readRows(gate.ledger).map((row) => payloadOf(row).type);
  const count = (type: string) => types.filter((one) => one === type).length;
  expect(count("call.receipt")).toBe(count("call.granted"));
}

/** Sends the same call again, then as a retry with a proof of its own; neither may cause a second effect. */
async function replay(gate: GateProcess, agent: WireAgent, call: WireRequest): Promise<void> {
  await send(gate.clientSocket, call);
  const again = await WireAgent.connect(gate.clientSocket, { key: agent.key });
  await again.execute("http_fetch", { url: upstream.url }, { "idempotency-key": "once-and-only-once" });
}

/** A stopped gate, and how often it makes a call on a file until it is ready and during `work`. */
async function rehearse(
  log: string,
  { file, call }: { readonly file: string; readonly call: string },
  prepare: (agent: WireAgent) => Promise<string>,
  work: (gate: GateProcess, agent: WireAgent, prepared: string) => Promise<WireAnswer>,
): Promise<{
  readonly gate: GateProcess;
  readonly path: string;
  readonly ready: number;
  readonly made: number;
}> {
  const first = await start();
  await first.stop();
  const path = join(first.dir, file);
  const gate = await first.restart({ wrapper: strace(log, call, { path }) });
  const agent = await WireAgent.connect(gate.clientSocket);
  const prepared = await prepare(agent);
  const count = () => madeCalls(log, new RegExp(`^(\\d+) +${call}\\(`));
  const ready = count();
  expect((await work(gate, agent, prepared)).status).toBe(200);
  const made = count() - ready;
  await gate.stop();
  return { gate, path, ready, made };
}

const CALL_POINTS = [
  { file: "ledger.db-wal", call: "fsync", shares: [0.5, 1] },
  // Between the syncs: some frames of a commit are written and others are not.
  { file: "ledger.db-wal", call: "pwrite64", shares: [0.15, 0.3, 0.45, 0.6, 0.8, 1] },
  { file: "payloads.db-wal", call: "pwrite64", shares: [0.01, 0.5, 0.9] },
] as const;

for (const { file, call, shares } of CALL_POINTS)
  for (const share of shares)
    withStrace(
      `killed at ${call} on ${file}, at ${share} of a call: at most one effect, every grant terminal, chain intact`,
      async () => {
        const log = join(scratch, `call-${file}-${call}-${share}.log`);
        const rehearsed = await rehearse(
          log,
          { file, call },
          async () => "",
          (_, agent) => agent.execute("http_fetch", { url: upstream.url }),
        );
        const when = rehearsed.ready + Math.max(1, Math.ceil(share * rehearsed.made));
        const inject = `${call}:signal=KILL:when=${when}`;
        const gate = await rehearsed.gate.restart({
          wrapper: strace(log, call, { path: rehearsed.path, inject }),
        });
        const before = upstream.requests.length;
        // Syncs can be counted on. Pages cannot: a run writes a few more or less than the one before it, so an early
        // kill may meet the lease, and a late one comes when the call has been answered.
        const agent = await attempt(WireAgent.connect(gate.clientSocket));
        const once = agent === null ? null : await fetchOnce(agent);
        const answer = once === null ? null : await attempt(send(gate.clientSocket, once));
        if (call === "fsync")
          expect({ connected: agent !== null, answer }).toEqual({ connected: true, answer: null });
        if (answer !== null) await gate.kill();
        await gate.exited;
        const restarted = await gate.restart({ wrapper: [] });
        try {
          await isWhole(restarted);
          if (agent !== null && once !== null) await replay(restarted, agent, once);
          const effects = upstream.requests.length - before;
          expect(effects).toBeLessThanOrEqual(1);
          // Killed while its grant is synced, which is written by then: the call must never run.
          if (call === "fsync") expect(effects).toBe(share === 0.5 ? 0 : 1);
          await isWhole(restarted);
        } finally {
          await restarted[Symbol.asyncDispose]();
        }
      },
      60_000,
    );

for (const [nth, during] of ["the decision", "the grant", "the receipt"].entries())
  withStrace(
    `killed while ${during} of an approved call is synced: it runs at most once`,
    async () => {
      const log = join(scratch, `approval-${nth}.log`);
      const place = { file: "ledger.db-wal", call: "fsync" };
      const rehearsed = await rehearse(log, place, holdWrite, async (gate, _, id) =>
        (await WireOperator.of(gate)).approve(id),
      );
      expect(rehearsed.made).toBe(3);
      const inject = `fsync:signal=KILL:when=${rehearsed.ready + nth + 1}`;
      const gate = await rehearsed.gate.restart({
        wrapper: strace(log, "fsync", { path: rehearsed.path, inject }),
      });
      const target = join(gate.root, "src/a.txt");
      writeFileSync(target, "old");
      const agent = await WireAgent.connect(gate.clientSocket);
      const id = await holdWrite(agent);
      expect(await attempt((await WireOperator.of(gate)).approve(id))).toBeNull();
      await gate.exited;
      const ranBefore = readFileSync(target, "utf8") === "new";
      writeFileSync(target, "set back");
      const restarted = await gate.restart({ wrapper: [] });
      try {
        await isWhole(restarted);
        const operator = await WireOperator.of(restarted);
        await operator.approve(id);
        await operator.approve(id);
        const ranAfter = readFileSync(target, "utf8") === "new";
        expect({ during, ranBefore, ranAfter }).toEqual({ during, ranBefore: nth === 2, ranAfter: false });
        const polled = await (await WireAgent.connect(restarted.clientSocket, { key: agent.key })).poll(id);
        expect(polled.body.status).not.toBe("pending");
        await isWhole(restarted);
      } finally {
        await restarted[Symbol.asyncDispose]();
      }
    },
    60_000,
  );

async function holdWrite(agent: WireAgent): Promise<string> {
  const held = await agent.execute("fs_write", { path: "src/a.txt", content: "new" });
  if (held.status !== 202) throw new Error(held.text);
  return held.body.approval_id;
}

describe("killed while the effect is under way", () => {
  test("the grant is closed as indeterminate, and the call is not sent again", async () => {
    await using hanging = await startUpstream(silent);
    const gate = await startGate({ policy: openPolicy(), ...hanging.setup });
    const agent = await WireAgent.connect(gate.clientSocket);
    const key = { "idempotency-key": "hanging" };
    const call = attempt(agent.execute("http_fetch", { url: hanging.url }, key));
    await hanging.arrived(1);
    await gate.kill();
    expect(await call).toBeNull();
    const strict = await gate.run("verify", gate.ledger, "--strict", "--json");
    expect(strict.code).toBe(14);
    const restarted = await gate.restart();
    try {
      expect(restarted.banner.unresolved).toContain("1 calls of an earlier run closed as indeterminate");
      await isWhole(restarted);
      const again = await agent.execute("http_fetch", { url: hanging.url }, key);
      expect(again.body).toMatchObject({ status: "indeterminate", dispatched: "unknown", replayed: true });
      expect(hanging.requests).toHaveLength(1);
    } finally {
      await restarted[Symbol.asyncDispose]();
    }
  });

  test("the lock and the runners go with the gate: the next one starts at once", async () => {
    const gate = await start();
    const runners = Bun.spawnSync(["ps", "-o", "pid=", "--ppid", String(gate.pid)])
      .stdout.toString()
      .trim();
    expect(runners.split(/\s+/).length).toBeGreaterThanOrEqual(2);
    await gate.kill();
    const restarted = await gate.restart();
    expect((await WireAgent.connect(restarted.clientSocket)).session).not.toBe("");
    await restarted[Symbol.asyncDispose]();
  });
});
