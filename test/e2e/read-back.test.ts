import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type GateProcess, ROOT, runBinary, startGate } from "../gate-process.ts";
import { WireAgent, type WireBody } from "../wire-client.ts";
import { type CiService, startCiService } from "./ci-service.ts";

const TOKEN = "ci_0123456789abcdefXYZ";
const FOLDER = join(ROOT, "docs/examples/read-back");
const file = (name: string) => readFileSync(join(FOLDER, name), "utf8");
const CALL = { project: "shop", environment: "production", tag: "v1.4.2" };

let ci: CiService;
let gate: GateProcess;
let agent: WireAgent;

/** The files of the example, with the address of the test's own service and the account that the test runs under. */
function here(text: string): string {
  return text
    .replaceAll("8443", String(ci.port))
    .replaceAll("10.20.0.15", "127.0.0.1")
    .replaceAll("uid:1001", `uid:${process.getuid?.()}`)
    .replaceAll("interval_ms: 500", "interval_ms: 5");
}

const secret = (words: readonly string[], stdin?: string) =>
  runBinary(["secrets", ...words], {
    cwd: gate.root,
    env: gate.env,
    ...(stdin === undefined ? {} : { stdin }),
  });

beforeAll(async () => {
  ci = await startCiService("ci.example.internal", TOKEN);
  gate = await startGate({
    config: here(file("egress.toml")),
    policy: JSON.parse(here(file("policy-data.json"))),
    actions: { "deploy_release.yaml": here(file("deploy_release.yaml")) },
    files: { ".latchgate/ci-authority.pem": ci.authority },
  });
  expect((await secret(["init"])).code).toBe(0);
  expect((await secret(["set", "CI_TOKEN"], TOKEN)).code).toBe(0);
  agent = await WireAgent.connect(gate.clientSocket);
});
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  await ci.close();
});

interface Deployed {
  /** The held call as an approver sees it. */
  readonly shown: WireBody;
  /** What `approvals approve` printed. */
  readonly done: WireBody;
  /** The signed entry. */
  readonly receipt: WireBody;
}

/** Held, shown, approved with the command. */
async function deploy(params: object = CALL): Promise<Deployed> {
  const held = await agent.execute("deploy_release", params);
  expect([held.status, held.body.decision]).toEqual([202, "pending_approval"]);
  const id = held.body.approval_id;
  const shown = await gate.run("approvals", "show", id, "--json");
  const approved = await gate.run("approvals", "approve", id, "--yes", "--json");
  const decided = JSON.parse((await gate.run("approvals", "show", id, "--json")).stdout);
  const { jws } = (await agent.receipt(decided.receipt_id)).body as { readonly jws: string };
  return {
    shown: JSON.parse(shown.stdout),
    done: JSON.parse(approved.stdout || approved.stderr),
    receipt: JSON.parse(Buffer.from(jws.split(".")[1] ?? "", "base64url").toString()),
  };
}

test("the page has the files of the example, word for word", () => {
  const page = readFileSync(join(ROOT, "docs/read-back.md"), "utf8");
  for (const name of readdirSync(FOLDER)) expect([name, page.includes(file(name))]).toEqual([name, true]);
});

test("a deployment waits for a human, is triggered once, and counts as done when the service says so", async () => {
  ci.next = { id: "dep-1", statuses: ["running", "succeeded"] };
  const before = ci.requests.length;
  const { shown, done, receipt } = await deploy();
  expect(shown.plan.read_back).toMatchObject({
    url: `https://ci.example.internal:${ci.port}/api/v1/projects/shop/deployments/%7Bdeployment%7D`,
    values: [{ name: "deployment", pointer: "/id" }],
    assert: [
      { pointer: "/status", equals: "succeeded" },
      { pointer: "/environment", equals: "production" },
      { pointer: "/tag", equals: "v1.4.2" },
    ],
  });
  expect(done).toMatchObject({ status: "executed", verification_outcome: "verified" });
  expect(done.output.json).toMatchObject({ id: "dep-1", status: "running" });
  const base = "/api/v1/projects/shop/deployments";
  expect(ci.requests.slice(before)).toEqual([
    `POST ${base} Bearer ${TOKEN}`,
    `GET ${base}/dep-1 Bearer ${TOKEN}`,
    `GET ${base}/dep-1 Bearer ${TOKEN}`,
  ]);
  expect(receipt.effects).toMatchObject([
    { method: "POST", purpose: "effect", status: 201, reached: "confirmed", secrets: ["CI_TOKEN"] },
    { method: "GET", purpose: "read_back", status: 200, reached: "confirmed", secrets: ["CI_TOKEN"] },
    { method: "GET", purpose: "read_back", status: 200, reached: "confirmed", secrets: ["CI_TOKEN"] },
  ]);
});

test("a deployment that does not succeed is not verified, and is not triggered again", async () => {
  const before = ci.deployments.length;
  ci.next = { id: "dep-2", statuses: ["running", "failed"] };
  const { done, receipt } = await deploy();
  expect(ci.deployments.length).toBe(before + 1);
  expect(receipt).toMatchObject({ status: "verification_failed", dispatched: "yes", confirmed: true });
  expect(receipt.verification.reasons).toEqual(["read-back: /status does not have the expected value"]);
  // One for the effect, and as many looks as the manifest allows.
  expect(receipt.effects.length).toBe(21);
  expect(receipt.io_calls).toBe(21);
  // Where the risk is high, what is not verified is withheld.
  expect(done.error).toMatchObject({ code: "verification_failed" });
});

test.each([
  ["dots", ".."],
  ["dots behind a slash", "a/../../b"],
  ["dots, encoded", "%2e%2e"],
  ["an object", { a: 1 }],
  ["nothing", ""],
])("an id that is %s leads nowhere", async (_, id) => {
  ci.next = { id, statuses: ["succeeded"] };
  const before = ci.requests.length;
  const { receipt } = await deploy();
  expect(ci.requests.length).toBe(before + 1);
  expect(receipt.effects.at(-1)).toMatchObject({ reached: "none", error: "malformed_response" });
  expect(receipt.verification.reasons).toEqual(["read-back: ended with malformed_response"]);
});

test("an id that spells another place stays one segment of the path", async () => {
  ci.next = { id: "a/b?x=1#y %41@evil.example:1{deployment}", statuses: ["succeeded"] };
  const { done } = await deploy();
  expect(done).toMatchObject({ status: "executed", verification_outcome: "verified" });
  expect(ci.requests.at(-1)).toBe(
    "GET /api/v1/projects/shop/deployments/a%2Fb%3Fx%3D1%23y%20%2541%40evil.example%3A1%7Bdeployment%7D " +
      `Bearer ${TOKEN}`,
  );
});

test("with a wrong credential the service refuses, the receipt says so, and nothing is looked for", async () => {
  expect((await secret(["set", "CI_TOKEN"], "ci_wrong_0123456789")).code).toBe(0);
  const before = ci.requests.length;
  const { receipt } = await deploy();
  expect(ci.requests.slice(before)).toEqual([
    "POST /api/v1/projects/shop/deployments Bearer ci_wrong_0123456789",
  ]);
  expect(receipt.status).toBe("verification_failed");
  expect(receipt.effects).toMatchObject([{ status: 401, purpose: "effect", secrets: ["CI_TOKEN"] }]);
  expect(receipt.verification.reasons[0]).toBe("the status 401 was not expected");
  expect((await secret(["set", "CI_TOKEN"], TOKEN)).code).toBe(0);
});

test("the log verifies offline, and the credential stands in no file of the gate", async () => {
  ci.next = { id: "dep-9", statuses: ["succeeded"] };
  expect((await deploy()).done).toMatchObject({ status: "executed" });
  const verified = await runBinary(["verify", gate.ledger, "--trust", gate.fingerprint, "--json"], {
    cwd: gate.root,
    env: gate.env,
  });
  expect([verified.code, JSON.parse(verified.stdout)]).toMatchObject([0, { trusted: true }]);
  const files = readdirSync(gate.dir, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
  expect(files.length).toBeGreaterThan(5);
  for (const { parentPath, name } of files)
    expect([name, readFileSync(join(parentPath, name)).includes(TOKEN)]).toEqual([name, false]);
  expect(gate.stderr()).not.toContain(TOKEN);
});
