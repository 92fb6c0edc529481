/** Rows of the tables of holds and votes, changed by somebody who can write the file: the log says what was signed. */
import { Database } from "bun:sqlite";
import { afterEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { UNHURRIED, until } from "../e2e/upstream-server.ts";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { payloadOf, readRows } from "../ledger/forge.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";

let gate: GateProcess | null = null;
afterEach(async () => {
  await gate?.[Symbol.asyncDispose]();
  gate = null;
});

interface Scene {
  readonly gate: GateProcess;
  readonly agent: WireAgent;
  readonly operator: WireOperator;
  readonly id: string;
}

/** A gate with one held call. */
async function holding(config = "", approvals: Record<string, unknown> = {}): Promise<Scene> {
  gate = await startGate({
    policy: openPolicy(undefined, { approvals }),
    config: `${UNHURRIED}\n${config}`,
    files: { "src/a.txt": "old" },
  });
  const agent = await WireAgent.connect(gate.clientSocket);
  const held = await agent.execute("fs_write", { path: "src/a.txt", content: "new" });
  expect(held.status).toBe(202);
  return { gate, agent, operator: await WireOperator.of(gate), id: held.body.approval_id };
}

function tamper(scene: Scene, sql: string, ...values: (string | number)[]): void {
  const db = new Database(scene.gate.ledger);
  try {
    db.run("PRAGMA busy_timeout = 5000");
    expect(db.run(sql, values).changes).toBe(1);
  } finally {
    db.close();
  }
}

const decisions = (at: GateProcess) =>
  readRows(at.ledger)
    .map(payloadOf)
    .filter(({ type }) => type === "approval.decided");
const content = (scene: Scene) => readFileSync(join(scene.gate.root, "src/a.txt"), "utf8");

async function isIntact(at: GateProcess): Promise<void> {
  const { code, stdout } = await at.run("verify", at.ledger, "--trust", at.fingerprint, "--strict");
  expect({ code, stdout }).toMatchObject({ code: 0 });
}

async function restarted(scene: Scene): Promise<GateProcess> {
  gate = await scene.gate.restart();
  return gate;
}

const FIELDS: readonly (readonly [column: string, value: string | number])[] = [
  ["principal", "uid:4711"],
  ["tenant", "other"],
  ["action_id", "fs_read"],
  ["action_version", "99"],
  ["trace_id", "01a205ba-0000-7000-8000-000000000000"],
  ["call", "0".repeat(64)],
  ["quorum", 7],
];

test.each(FIELDS)(
  "a hold whose %s was changed and whose time is over ends as changed, by the signed values",
  async (column, value) => {
    const scene = await holding();
    await scene.gate.kill();
    const [held] = readRows(scene.gate.ledger)
      .map(payloadOf)
      .filter(({ type }) => type === "call.held");
    tamper(scene, `UPDATE holds SET expires_ms = 1, ${column} = ? WHERE approval_id = ?`, value, scene.id);
    const now = await restarted(scene);
    const { principal, tenant, action_id, action_version, trace_id, call, quorum } = held ?? {};
    expect(decisions(now)).toEqual([
      expect.objectContaining({
        decision: "fail",
        operator: null,
        approval_id: scene.id,
        reason: "the stored hold is not the one that was signed",
        ...{ principal, tenant, action_id, action_version, trace_id, call, quorum },
      }),
    ]);
    await isIntact(now);
  },
);

test("a hold whose row leads to another entry ends, and nothing is said that was not signed", async () => {
  const scene = await holding();
  await scene.gate.kill();
  tamper(scene, "UPDATE holds SET expires_ms = 1, seq = 1 WHERE approval_id = ?", scene.id);
  const now = await restarted(scene);
  expect(decisions(now)).toEqual([]);
  const agent = await WireAgent.connect(now.clientSocket, { key: scene.agent.key });
  expect((await agent.poll(scene.id)).body).toEqual({ status: "failed", reason: "held_call_changed" });
  await isIntact(now);
});

test("a denial of a hold that was changed: refused, the hold ends, and the log has the signed values", async () => {
  const scene = await holding();
  tamper(scene, "UPDATE holds SET action_id = 'fs_delete' WHERE approval_id = ?", scene.id);
  const denied = await scene.operator.deny(scene.id);
  expect([denied.status, denied.body.error]).toEqual([409, "conflict"]);
  expect(decisions(scene.gate)).toMatchObject([{ decision: "fail", action_id: "fs_write" }]);
  expect((await scene.operator.approve(scene.id)).body.decision).toBe("already_failed");
  expect(content(scene)).toBe("old");
  await isIntact(scene.gate);
});

test("a planted vote is none: the quorum is counted from signed decisions", async () => {
  const scene = await holding("", { quorum: { high: 2 } });
  tamper(scene, "INSERT INTO votes VALUES (?, ?, 'somebody', 1)", scene.id, "A".repeat(43));
  expect((await scene.operator.approve(scene.id)).body).toMatchObject({
    decision: "pending_approval",
    votes: 1,
  });
  expect(content(scene)).toBe("old");
  expect(decisions(scene.gate)).toMatchObject([{ decision: "approve", votes: 1 }]);
  await isIntact(scene.gate);
});

test("a hold that ran or was denied, and is set back: decided once and for all, in the log as well", async () => {
  const scene = await holding();
  const second = (await scene.agent.execute("fs_write", { path: "src/a.txt", content: "never" })).body
    .approval_id as string;
  expect((await scene.operator.approve(scene.id)).body.decision).toBe("executed");
  expect((await scene.operator.deny(second)).body.decision).toBe("deny");
  const back = "UPDATE holds SET state = 'pending', grant_id = NULL, receipt_id = NULL WHERE approval_id = ?";
  tamper(scene, back, scene.id);
  tamper(scene, back, second);
  for (const id of [scene.id, second]) {
    expect((await scene.operator.approve(id)).body.decision).not.toBe("executed");
    expect((await scene.operator.deny(id)).body.decision).not.toBe("deny");
  }
  expect(content(scene)).toBe("new");
  const before = decisions(scene.gate).length;
  await scene.gate.kill();
  tamper(scene, "UPDATE holds SET expires_ms = 1 WHERE approval_id = ?", second);
  const now = await restarted(scene);
  expect(decisions(now).length).toBe(before);
  await isIntact(now);
});

test("a hold that was approved and got no grant in its time expires like any other", async () => {
  const scene = await holding("[approvals]\nttl_s = 0.3");
  tamper(scene, "UPDATE holds SET state = 'approved' WHERE approval_id = ?", scene.id);
  const ended = await until(
    () => scene.agent.poll(scene.id),
    ({ body }) => body.status === "expired",
    100_000,
  );
  expect(ended.body.status).toBe("expired");
  expect(decisions(scene.gate)).toMatchObject([{ decision: "expire", operator: null }]);
  await isIntact(scene.gate);
}, 30_000);
