import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { WireOperator } from "../wire-client.ts";
import { BenchChild } from "./child.ts";
import { cpuMs } from "./gate-cpu.ts";
import type { LoadOrder, LoadResult } from "./load.ts";
import { UPSTREAM_HOST } from "./upstream.ts";

export interface CallRow extends LoadResult {
  readonly action: string;
  readonly connections: number;
  /** Of the gate with its runners. */
  readonly cpuMsPerCall: number;
  /** Acts that shared one durable commit, on average; a call is two acts. */
  readonly actsPerGroup: number;
}

export interface CallPlan {
  /** Folder on a real disk; the ledger lies in it. */
  readonly folder: string;
  readonly connections: readonly number[];
  readonly warmupMs: number;
  readonly measuredMs: number;
  readonly onRow: (row: CallRow) => void;
}

/** Limits that a load test runs into on purpose, out of the way. Everything else is as shipped. */
export const UNLIMITED = `
[rate_limits]
peer_rps = 1000000
lease_rps = 1000000
execute_rps_per_session = 1000000
operator_read_rps = 1000000

[limits]
replay_entries = 10000000
replay_entries_per_key = 10000000

[lease]
ttl_s = 3600
`;

/** Lets `http_fetch` reach the upstream. */
export function fetchEgress(port: number, caFile: string): string {
  return `
[[egress.local]]
action = "http_fetch"
methods = ["GET"]
path_prefix = "/"
host = "${UPSTREAM_HOST}"
address = "127.0.0.1"
port = ${port}
ca_file = "${caFile}"
`;
}

/** Measures durable executions through the binary: each answer follows a synced grant and a synced receipt. */
export async function measureCalls(plan: CallPlan): Promise<readonly CallRow[]> {
  const certificates = mkdtempSync(join(plan.folder, "upstream-"));
  try {
    const caFile = join(certificates, "ca.pem");
    await using upstream = new BenchChild("upstream.ts", caFile);
    const port = Number(await upstream.line());
    await using gate = await startGate({
      parent: plan.folder,
      files: { "docs/read.md": "x".repeat(1000) },
      policy: openPolicy(),
      config: UNLIMITED + fetchEgress(port, caFile),
    });
    const operator = await WireOperator.of(gate);
    const actions = [
      { action: "fs_read", params: { path: "docs/read.md" } },
      { action: "http_fetch", params: { url: `https://${UPSTREAM_HOST}:${port}/` } },
    ];
    const rows: CallRow[] = [];
    // Once for all rows: code that has not been compiled yet is the start of a gate, not its speed.
    for (const call of actions)
      await measureRow(gate, operator, {
        ...call,
        connections: 16,
        ...timesOf(plan),
        socket: gate.clientSocket,
      });
    for (const call of actions)
      for (const connections of plan.connections) {
        const row = await measureRow(gate, operator, {
          ...call,
          connections,
          ...timesOf(plan),
          socket: gate.clientSocket,
        });
        plan.onRow(row);
        rows.push(row);
      }
    const code = await gate.stop();
    if (code !== 0) throw new Error(`the gate ended with status ${code}: ${gate.stderr()}`);
    return rows;
  } finally {
    rmSync(certificates, { recursive: true, force: true });
  }
}

function timesOf({ warmupMs, measuredMs }: CallPlan) {
  return { warmupMs, measuredMs };
}

async function measureRow(gate: GateProcess, operator: WireOperator, order: LoadOrder): Promise<CallRow> {
  await using load = new BenchChild("load.ts", JSON.stringify(order));
  const ready = await load.line();
  if (ready !== "ready") throw new Error(`the load generator says ${ready}`);
  const before = await readStatus(operator);
  const cpuBefore = cpuMs([gate.pid, ...before.runners]);
  load.tell("go");
  const result = JSON.parse(await load.line()) as LoadResult; // printed by load.ts
  const cpuAfter = cpuMs([gate.pid, ...before.runners]);
  const after = await readStatus(operator);
  return {
    ...result,
    action: order.action,
    connections: order.connections,
    cpuMsPerCall: (cpuAfter - cpuBefore) / result.calls,
    actsPerGroup: (after.acts - before.acts) / (after.groups - before.groups),
  };
}

interface Status {
  readonly groups: number;
  readonly acts: number;
  readonly runners: readonly number[];
}

async function readStatus(operator: WireOperator): Promise<Status> {
  const answer = await operator.call("GET", "/v1/admin/status");
  if (answer.status !== 200) throw new Error(`no status: ${answer.status} ${answer.text}`);
  const { ledger, runners } = answer.body;
  return {
    groups: ledger.groups,
    acts: ledger.acts,
    runners: runners.map(({ pid }: { pid: number }) => pid),
  };
}
