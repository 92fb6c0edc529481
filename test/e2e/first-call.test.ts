import { afterAll, beforeAll, expect, test } from "bun:test";
import { type GateProcess, startGate } from "../gate-process.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";

let gate: GateProcess;
beforeAll(async () => {
  gate = await startGate({ files: { "README.md": "# hello\n", "src/a.txt": "old" } });
});
afterAll(() => gate[Symbol.asyncDispose]());

test("a call goes through all steps and leaves a receipt that its caller can read", async () => {
  const agent = await WireAgent.connect(gate.clientSocket);
  const done = await agent.execute("fs_read", { path: "README.md" });
  expect(done.status).toBe(200);
  expect(done.body).toMatchObject({
    decision: "executed",
    action_id: "fs_read",
    output: { ok: true, path: "README.md", text: "# hello\n" },
    verification_outcome: "verified",
    verification: { outcome: "verified", is_fully_successful: true },
  });
  const receipt = await agent.receipt(done.body.receipt_id);
  expect(receipt.status).toBe(200);
  expect(receipt.body).toMatchObject({
    grant_id: done.body.grant_id,
    signature_status: "valid",
    normalized_result: { kind: "success" },
    failure_class: null,
    provider_receipt: done.body.output,
  });
});

test("a held call runs as approved, and the agent gets its output by polling", async () => {
  const agent = await WireAgent.connect(gate.clientSocket);
  const held = await agent.execute("fs_write", { path: "src/a.txt", content: "new" });
  expect(held.status).toBe(202);
  expect(held.body).toMatchObject({ decision: "pending_approval" });
  const id = held.body.approval_id;
  expect((await agent.poll(id)).body).toMatchObject({ status: "pending", retry_after_seconds: 2 });
  const operator = await WireOperator.of(gate);
  const approved = await operator.approve(id);
  expect(approved.status).toBe(200);
  expect(approved.body).toMatchObject({
    decision: "executed",
    approval: { decision: "allow", approval_id: id },
  });
  expect(await Bun.file(`${gate.root}/src/a.txt`).text()).toBe("new");
  expect((await agent.poll(id)).body).toMatchObject({
    status: "approved",
    receipt_id: approved.body.receipt_id,
  });
  expect((await operator.approve(id)).body).toMatchObject({ decision: "already_approved" });
});
