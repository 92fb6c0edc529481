import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { UNHURRIED } from "../e2e/upstream-server.ts";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import {
  freshKey,
  keyFromPem,
  proof,
  send,
  WireAgent,
  type WireAnswer,
  WireOperator,
} from "../wire-client.ts";

let gate: GateProcess;
let agent: WireAgent;
let held: string;

beforeAll(async () => {
  gate = await startGate({ policy: openPolicy(), config: UNHURRIED, files: { "src/a.txt": "old" } });
  // The agent runs under the gate's own account here: the mode of the admin socket does not stop it.
  agent = await WireAgent.connect(gate.adminSocket);
  held = (await agent.execute("fs_write", { path: "src/a.txt", content: "new" })).body.approval_id;
});
afterAll(() => gate[Symbol.asyncDispose]());

const ACTS = ["approve", "deny"] as const;
const at = (act: string) => `/v1/approvals/${held}/${act}`;

async function expectStillHeld(answers: readonly WireAnswer[]): Promise<void> {
  for (const { status, body } of answers) {
    expect(status).toBe(401);
    expect(body.error).toBeString();
  }
  expect(readFileSync(join(gate.root, "src/a.txt"), "utf8")).toBe("old");
  expect((await agent.poll(held)).body.status).toBe("pending");
}

describe("N21: an agent that reaches the admin socket still can't act as operator", () => {
  test("with its lease, its key, or both in the operator's name", async () => {
    const answers: WireAnswer[] = [];
    for (const act of ACTS)
      for (const token of [agent.lease, "default", ""]) {
        const dpop = await proof(agent.key, token, "POST", at(act));
        for (const scheme of ["DPoP", "Bearer"])
          answers.push(
            await send(gate.adminSocket, {
              method: "POST",
              path: at(act),
              headers: { authorization: `${scheme} ${token}`, dpop },
            }),
          );
      }
    await expectStillHeld(answers);
  });

  test("with a key that it made and calls the operator's", async () => {
    const made = await freshKey();
    const own = await keyFromPem(gate.operatorKey);
    const answers: WireAnswer[] = [];
    for (const act of ACTS) {
      answers.push(await new WireOperator(gate.adminSocket, made).call("POST", at(act)));
      // The operator's public key in the header, signed by another.
      const dpop = await proof(made, "default", "POST", at(act), { jwk: own.jwk });
      answers.push(
        await send(gate.adminSocket, {
          method: "POST",
          path: at(act),
          headers: { authorization: "DPoP default", dpop },
        }),
      );
    }
    await expectStillHeld(answers);
  });

  test("with an operator's proof that it saw: for another path, of another method, or used before", async () => {
    const own = await keyFromPem(gate.operatorKey);
    const path = "/v1/admin/status";
    const used = await proof(own, "default", "GET", path);
    const headers = { authorization: "DPoP default", dpop: used };
    expect((await send(gate.adminSocket, { method: "GET", path, headers })).status).toBe(200);
    const answers = [await send(gate.adminSocket, { method: "POST", path: at("approve"), headers })];
    answers.push(await send(gate.adminSocket, { method: "GET", path, headers }));
    const unused = await proof(own, "default", "POST", at("deny"));
    answers.push(
      await send(gate.adminSocket, {
        method: "POST",
        path: at("approve"),
        headers: { authorization: "DPoP default", dpop: unused },
      }),
    );
    await expectStillHeld(answers);
  });

  test("an operator's proof is none for the client socket, which has no such route", async () => {
    const answer = await new WireOperator(gate.clientSocket, await keyFromPem(gate.operatorKey)).approve(
      held,
    );
    expect([answer.status, answer.body.error]).toEqual([404, "not_found"]);
    await expectStillHeld([]);
  });

  test("the kill switch, the drain and the keys are as far from it", async () => {
    const answers: WireAnswer[] = [];
    for (const path of ["/v1/admin/revoke-all", "/v1/admin/drain", "/v1/admin/rotate-keys"])
      answers.push(await new WireOperator(gate.adminSocket, agent.key, agent.lease).call("POST", path));
    await expectStillHeld(answers);
    expect((await agent.execute("fs_read", { path: "src/a.txt" })).status).toBe(200);
  });

  test("by its lease it reads no file of the gate, its key material or the operator's", async () => {
    const keys = readdirSync(join(gate.dir, "keys"));
    expect(keys.length).toBeGreaterThan(0);
    for (const path of [".latchgate/latchgate.toml", `.latchgate/keys/${keys[0]}`, ".latchgate/ledger.db"]) {
      expect(existsSync(join(gate.root, path))).toBe(true);
      const refused = await agent.execute("fs_read", { path });
      expect([refused.status, refused.body.error]).toEqual([403, "policy_denied"]);
      const write = await agent.execute("fs_write", { path, content: "x" });
      expect([write.status, write.body.error]).toEqual([403, "policy_denied"]);
    }
  });

  test("the operator can", async () => {
    const approved = await (await WireOperator.of(gate)).approve(held);
    expect(approved.status).toBe(200);
    expect(readFileSync(join(gate.root, "src/a.txt"), "utf8")).toBe("new");
  });
});
