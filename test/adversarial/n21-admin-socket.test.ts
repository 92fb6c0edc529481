import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sha256Hex } from "../../src/core/bytes.ts";
import {
  authenticateOperator,
  issueLease,
  leaseSigner,
  OperatorDirectory,
  ReplayStore,
} from "../../src/identity/index.ts";
import { createFront, type Front } from "../../src/server/front/index.ts";
import { BASE, makeLease, makeProof, newKey, TestClock } from "../identity/fixtures.ts";

// The agent here runs as the gate's own uid and can open the admin socket: the file mode does not stop it.
const PATH = "/v1/approvals/0190a000-0000-7000-8000-000000000009/approve";
const agent = newKey();
const alice = newKey();
const bob = newKey();
const lease = issueLease(makeLease(agent.jkt), leaseSigner(newKey().privateKey));
const operators = new OperatorDirectory([
  { id: "alice", thumbprint: alice.jkt },
  { id: "bob", thumbprint: bob.jkt, token_sha256: sha256Hex("bob's token") },
]);

let folder = "";
let path = "";
let front: Front;
let approvals = 0;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "n21-"));
  path = join(folder, "gate-admin.sock");
  const clock = new TestClock();
  const deps = { operators, replay: new ReplayStore(clock), clock };
  front = createFront({
    onError: () => {},
    onRequest: (request, response) => {
      const verdict = authenticateOperator(
        {
          authorization: request.headers("authorization"),
          dpop: request.headers("dpop"),
          method: request.method,
          path: request.path,
          bases: [BASE],
        },
        deps,
      );
      if (!verdict.ok) {
        response.json(verdict.status, { error: verdict.code });
        return;
      }
      approvals++;
      response.json(200, { by: verdict.operator.id });
    },
  });
  await front.listen({ path, mode: 0o600, label: "admin" });
});

afterAll(async () => {
  await front.close(0);
  rmSync(folder, { recursive: true, force: true });
});

type Headers = { readonly [name: string]: string | readonly string[] };

function approve(headers: Headers, target = PATH): Promise<{ status: number | undefined; body: unknown }> {
  return new Promise((resolve, reject) => {
    const sent = Object.entries(headers).map(([name, value]): [string, string | string[]] => [
      name,
      typeof value === "string" ? value : [...value],
    ]);
    const outgoing = httpRequest(
      { socketPath: path, path: target, method: "POST", headers: Object.fromEntries(sent) },
      (incoming) => {
        let text = "";
        incoming.on("data", (chunk: Buffer) => {
          text += chunk;
        });
        incoming.on("end", () => resolve({ status: incoming.statusCode, body: JSON.parse(text) }));
      },
    );
    outgoing.on("error", reject);
    outgoing.end();
  });
}

const good = () => makeProof(alice, "alice", { payload: { htu: BASE + PATH } });

describe("N21: an agent that reaches the admin socket", () => {
  test.each<[string, () => Headers]>([
    ["with nothing", () => ({})],
    [
      "with its lease",
      () => ({
        authorization: `DPoP ${lease}`,
        dpop: makeProof(agent, lease, { payload: { htu: BASE + PATH } }),
      }),
    ],
    [
      "with an operator's id and its own key",
      () => ({
        authorization: "DPoP alice",
        dpop: makeProof(agent, "alice", { payload: { htu: BASE + PATH } }),
      }),
    ],
    [
      "with an operator's public key in its proof and its own signature",
      () => ({
        authorization: "DPoP alice",
        dpop: makeProof(alice, "alice", { payload: { htu: BASE + PATH }, signer: agent.privateKey }),
      }),
    ],
    ["with an operator's token as Bearer", () => ({ authorization: "Bearer bob's token" })],
    [
      "with an operator's token as Bearer and a proof",
      () => ({ authorization: "Bearer alice", dpop: good() }),
    ],
    ["with an operator's token and no proof", () => ({ authorization: "DPoP bob's token" })],
    [
      "with an operator's token and its own key",
      () => ({
        authorization: "DPoP bob's token",
        dpop: makeProof(agent, "bob's token", { payload: { htu: BASE + PATH } }),
      }),
    ],
    [
      "with the hash of an operator's token",
      () => ({ authorization: `DPoP ${sha256Hex("bob's token")}`, dpop: good() }),
    ],
    [
      "with one operator's key under another's name",
      () => ({ authorization: "DPoP bob's token", dpop: good() }),
    ],
    [
      "with a proof that an operator made for another call",
      () => ({ authorization: "DPoP alice", dpop: makeProof(alice, "alice") }),
    ],
    [
      "with an operator's proof beside its own",
      () => ({ authorization: "DPoP alice", dpop: [makeProof(agent, "alice"), good()] }),
    ],
    [
      "with an unsigned proof",
      () => ({ authorization: "DPoP alice", dpop: `${good().split(".").slice(0, 2).join(".")}.` }),
    ],
  ])("%s: is no operator", async (_name, headers) => {
    const answer = await approve(headers());
    expect(answer.status).toBe(401);
    expect(Object.keys(answer.body as object)).toEqual(["error"]);
    expect(approvals).toBe(0);
  });

  test("an operator is, once for each proof; the same call works for nobody who repeats it", async () => {
    const headers = { authorization: "DPoP alice", dpop: good() };
    expect(await approve(headers)).toEqual({ status: 200, body: { by: "alice" } });
    expect(await approve(headers)).toEqual({ status: 401, body: { error: "replay_detected" } });
    expect(approvals).toBe(1);
  });

  test("an operator's key is recognised as one, so that no lease is issued to it", () => {
    expect(operators.isOperatorKey(alice.jkt)).toBe(true);
    expect(operators.isOperatorKey(agent.jkt)).toBe(false);
  });
});
