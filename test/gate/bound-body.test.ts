/** A proof may bind the body of its request (`bh`): then another body is refused, whoever sent it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { keyFromPem, proof, send, WireAgent, type WireAnswer, type WireKey } from "../wire-client.ts";

let gate: GateProcess;
let agent: WireAgent;
let operator: WireKey;
beforeAll(async () => {
  gate = await startGate({ policy: openPolicy(), files: { "README.md": "# hello\n", "src/a.txt": "old" } });
  agent = await WireAgent.connect(gate.clientSocket);
  operator = await keyFromPem(gate.operatorKey);
});
afterAll(() => gate[Symbol.asyncDispose]());

interface Sent {
  readonly socket: string;
  readonly key: WireKey;
  readonly token: string;
  readonly path: string;
  /** The body that the proof is made for, and the one that is sent. */
  readonly bound: string;
  readonly body: string;
}

async function post({ socket, key, token, path, bound, body }: Sent): Promise<WireAnswer> {
  const bh = createHash("sha256").update(bound).digest("base64url");
  const dpop = await proof(key, token, "POST", path, { claims: { bh } });
  return send(socket, { method: "POST", path, headers: { authorization: `DPoP ${token}`, dpop }, body });
}

const asAgent = (action: string, bound: string, body: string) => {
  const path = `/v1/actions/${action}/execute`;
  return post({ socket: gate.clientSocket, key: agent.key, token: agent.lease, path, bound, body });
};
const asOperator = (path: string, bound: string, body: string) =>
  post({ socket: gate.adminSocket, key: operator, token: "default", path, bound, body });

const MISMATCH = { error: "invalid_dpop", deny_reason: "bh mismatch" };

test("of a call: the bound body runs, any other does not", async () => {
  const body = '{"path":"README.md"}';
  expect((await asAgent("fs_read", body, body)).status).toBe(200);
  for (const other of ['{"path":"src/a.txt"}', `${body} `, ""]) {
    const refused = await asAgent("fs_read", body, other);
    expect(refused).toMatchObject({ status: 401, body: MISMATCH });
  }
});

test("of a decision: another reason or statement does not count, and the call still waits", async () => {
  const held = await asAgent(
    "fs_write",
    '{"path":"src/a.txt","content":"new"}',
    '{"path":"src/a.txt","content":"new"}',
  );
  const id = held.body.approval_id;
  const deny = `/v1/approvals/${id}/deny`;
  expect(await asOperator(deny, '{"reason":"mine"}', '{"reason":"theirs"}')).toMatchObject({
    status: 401,
    body: MISMATCH,
  });
  const approve = `/v1/approvals/${id}/approve`;
  expect(await asOperator(approve, '{"statement":"x"}', "")).toMatchObject({ status: 401, body: MISMATCH });
  expect((await agent.poll(id)).body.status).toBe("pending");
  expect(readFileSync(join(gate.root, "src/a.txt"), "utf8")).toBe("old");
  const denied = await asOperator(deny, '{"reason":"mine"}', '{"reason":"mine"}');
  expect(denied.body).toMatchObject({ decision: "deny", deny_reason: "mine" });
});

test("of a rotation: another purpose is not taken", async () => {
  const path = "/v1/admin/rotate-keys";
  const body = '{"purpose":"lease"}';
  expect(await asOperator(path, body, '{"purpose":"evidence"}')).toMatchObject({
    status: 401,
    body: MISMATCH,
  });
  expect((await asOperator(path, body, body)).body).toMatchObject({ ok: true, purpose: "lease" });
});
