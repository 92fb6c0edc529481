import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { decodeProtectedHeader, SignJWT } from "jose";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { freshKey, type ProofChanges, proof, send, WireAgent, WireOperator } from "../wire-client.ts";
import { UNHURRIED } from "./upstream-server.ts";
import { CATALOGUE_SIZE, copy, expectError, HASH, kidOf, ME, UUID } from "./wire-answers.ts";

let gate: GateProcess;
let agent: WireAgent;
let operator: WireOperator;

beforeAll(async () => {
  gate = await startGate({
    policy: openPolicy(),
    config: UNHURRIED,
    files: { "README.md": "# hello\n", "src/a.txt": "old" },
  });
  agent = await WireAgent.connect(gate.clientSocket);
  operator = await WireOperator.of(gate);
});
afterAll(() => gate[Symbol.asyncDispose]());

const get = (path: string, socket = gate.clientSocket) => send(socket, { method: "GET", path });

describe("open routes, on both sockets", () => {
  test("healthz, readyz and the key set", async () => {
    for (const socket of [gate.clientSocket, gate.adminSocket]) {
      expect((await get("/healthz", socket)).body).toEqual({ status: "ok" });
      const ready = await get("/readyz", socket);
      expect(ready.status).toBe(200);
      expect(copy(ready.body)).toMatchObject({
        status: "ready",
        redis: true,
        opa: true,
        ledger: true,
        approval_store: true,
        egress_proxy: null,
        actions_registered: CATALOGUE_SIZE,
      });
      expect((await get("/.well-known/jwks.json", socket)).body.keys).toMatchObject([
        { kty: "EC", crv: "P-256", use: "sig", alg: "ES256", kid: expect.any(String) },
      ]);
    }
  });

  test("discovery needs no lease, ignores one, and does not use up its proof", async () => {
    const dpop = await proof(agent.key, agent.lease, "GET", "/v1/actions");
    const headers = { authorization: `DPoP ${agent.lease}`, dpop };
    for (let i = 0; i < 2; i++) {
      const listed = await send(gate.clientSocket, { method: "GET", path: "/v1/actions", headers });
      expect(listed.status).toBe(200);
      const ids = listed.body.actions.map((row: { action_id: string }) => row.action_id);
      expect(ids).toEqual([...ids].sort());
      expect(ids).toContain("fs_read");
    }
    const { actions } = (await get("/v1/actions")).body;
    expect(copy(actions.find((row: { action_id: string }) => row.action_id === "fs_delete"))).toMatchObject({
      action_id: "fs_delete",
      version: expect.any(String),
      risk_level: "critical",
    });
  });

  test("one action, its schema, and both for all in one request", async () => {
    const detail = (await get("/v1/actions/http_fetch")).body;
    expect(copy(detail)).toMatchObject({
      action_id: "http_fetch",
      version: expect.any(String),
      provider_module_digest: expect.stringMatching(HASH),
      risk_level: "low",
      resource_limits: {
        fuel: expect.any(Number),
        memory_mb: 128,
        timeout_seconds: 30,
        max_io_calls: 1,
        max_host_response_bytes: expect.any(Number),
      },
      io: { max_request_bytes: expect.any(Number), has_request_schema: true },
      egress: { proxy_allowlist: { allowed_domains: expect.arrayContaining(["api.github.com"]) } },
      declared_side_effects: ["http_read"],
    });
    const schema = (await get("/v1/actions/http_fetch/schema/request")).body;
    expect(schema).toMatchObject({ type: "object", required: ["url"] });
    const all = (await get("/v1/actions?include=schema,detail")).body.actions;
    const row = all.find((one: { action_id: string }) => one.action_id === "http_fetch");
    expect(row).toMatchObject({ detail, schema });
    expect((await get("/v1/actions/fs_read")).body.egress).toBe("none");
  });

  test("an action that is not there", async () => {
    expectError(await get("/v1/actions/nothing"), 404, "action_not_found");
    expectError(await get("/v1/actions/nothing/schema/request"), 404, "action_not_found");
  });

  test("receipt keys are public: checking evidence needs no credential", async () => {
    const { keys } = (await get("/v1/receipt-keys")).body;
    expect(copy(keys)).toMatchObject([
      {
        kid: kidOf(gate.fingerprint),
        kty: "OKP",
        crv: "Ed25519",
        alg: "EdDSA",
        use: "sig",
        x_hex: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
    ]);
  });
});

describe("execute", () => {
  test("runs with any content type, and takes no body for no parameters", async () => {
    const path = "/v1/actions/fs_read/execute";
    const typed = await agent.call("POST", path, '{"path":"README.md"}', { "content-type": "text/plain" });
    expect(typed.status).toBe(200);
    expect(typed.body).toEqual({
      decision: "executed",
      trace_id: expect.stringMatching(UUID),
      action_id: "fs_read",
      grant_id: expect.stringMatching(UUID),
      receipt_id: expect.stringMatching(UUID),
      output: expect.objectContaining({ ok: true, text: "# hello\n" }),
      verification_outcome: "verified",
      verification: { outcome: "verified", is_fully_successful: true, reasons: [] },
      runtime: { duration_ms: expect.any(Number), exit_code: 0, fuel_consumed: expect.any(Number) },
      status: "executed",
      dispatched: "yes",
      confirmed: true,
      boundary: "same_uid",
    });
    // The component's start, its task and the host's one answer cost something.
    expect(typed.body.runtime.fuel_consumed).toBeGreaterThan(1_000);
    expectError(await agent.call("POST", path), 422, "schema_violation");
  });

  test("a null for an optional parameter counts as not given", async () => {
    const done = await agent.execute("fs_write", {
      path: "src/a.txt",
      content: "x",
      mode: null,
      expected_before_hash: null,
    });
    expect(done.status).toBe(202);
    const plain = await agent.execute("fs_write", { path: "src/a.txt", content: "x" });
    expect(done.body.request_hash).toBe(plain.body.request_hash);
    for (const { body } of [done, plain]) await operator.deny(body.approval_id);
  });

  test("refusals after authentication have their codes", async () => {
    const unknown = await agent.execute("fs_reed", {});
    expectError(unknown, 404, "action_not_found");
    expect(unknown.body.hint).toContain("fs_read");
    const invalid = await agent.execute("fs_read", { path: 1 });
    expectError(invalid, 422, "schema_violation");
    expect(invalid.body.reason).toBeString();
    const spent = await WireAgent.connect(gate.clientSocket, { maxCalls: 0 });
    const denied = await spent.execute("fs_read", { path: "README.md" });
    expectError(denied, 403, "policy_denied");
    expect(copy(denied.body)).toMatchObject({
      deny_reason: "budget exhausted",
      principal: ME,
      action_id: "fs_read",
    });
  });

  test("what policy does not grant says how to be granted it", async () => {
    const narrow = await startGate({ files: { "src/a.txt": "x" } });
    try {
      const denied = await (await WireAgent.connect(narrow.clientSocket)).execute("fs_delete", {
        path: "src/a.txt",
      });
      expectError(denied, 403, "policy_denied");
      expect(denied.body.remediation).toBe(`Run: latchgate policy grant ${ME} fs_delete`);
      expect(denied.body.reasons[0]).toEqual({ code: "acl_denied", text: expect.any(String) });
    } finally {
      await narrow[Symbol.asyncDispose]();
    }
  });

  test("a dry run decides, shows its plan, and does nothing", async () => {
    const path = "/v1/actions/fs_write/execute";
    const body = JSON.stringify({ path: "src/a.txt", content: "dry" });
    const answer = await send(gate.clientSocket, {
      method: "POST",
      path: `${path}?dry_run=1`,
      headers: {
        authorization: `DPoP ${agent.lease}`,
        dpop: await proof(agent.key, agent.lease, "POST", path),
      },
      body,
    });
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({
      decision: "would_hold",
      dry_run: true,
      plan: { kind: "fs", operation: "overwrite", path: "src/a.txt" },
      reasons: [{ code: "risk" }],
    });
    expect(answer.text).not.toContain('"rule"');
    expect(await Bun.file(`${gate.root}/src/a.txt`).text()).toBe("old");
    expect((await operator.call("GET", "/v1/approvals?status=pending")).body.approvals).toEqual([]);
  });
});

describe("who is not an agent", () => {
  const path = "/v1/actions/fs_read/execute";
  const post = (headers: Record<string, string>) =>
    send(gate.clientSocket, { method: "POST", path, headers, body: '{"path":"README.md"}' });
  const signed = async (changes: ProofChanges) =>
    post({
      authorization: `DPoP ${agent.lease}`,
      dpop: await proof(agent.key, agent.lease, "POST", path, changes),
    });

  test("no header, another scheme, an empty token, no proof", async () => {
    const dpop = await proof(agent.key, agent.lease, "POST", path);
    expectError(await post({}), 401, "missing_auth_header");
    expectError(await post({ authorization: `DPoP ${agent.lease}` }), 401, "missing_auth_header");
    expectError(await post({ authorization: `Bearer ${agent.lease}`, dpop }), 401, "invalid_lease");
    expectError(await post({ authorization: `dpop ${agent.lease}`, dpop }), 401, "invalid_lease");
    expectError(await post({ authorization: "DPoP ", dpop }), 401, "invalid_lease");
  });

  const now = () => Math.floor(Date.now() / 1000);
  test.each([
    ["another method", { htm: "GET" }],
    ["another path", { htu: "http://localhost:3000/v1/actions/fs_write/execute" }],
    ["another host", { htu: "http://evil.example/v1/actions/fs_read/execute" }],
    ["an old time", { iat: now() - 120 }],
    ["a time to come", { iat: now() + 60 }],
    ["another token's hash", { ath: createHash("sha256").update("other").digest("base64url") }],
    ["another type", { typ: "JWT" }],
  ] as [string, ProofChanges][])("a proof with %s", async (_what, changes) => {
    const refused = await signed(changes);
    expectError(refused, 401, "invalid_dpop");
    expect(refused.body.deny_reason).toBeString();
  });

  test("a proof by another key, or one that names another key than it is by", async () => {
    const other = await freshKey();
    expectError(
      await post({
        authorization: `DPoP ${agent.lease}`,
        dpop: await proof(other, agent.lease, "POST", path),
      }),
      401,
      "invalid_dpop",
    );
    expectError(await signed({ jwk: other.jwk }), 401, "invalid_dpop");
  });

  test("the same proof twice, also on the other socket", async () => {
    const headers = {
      authorization: `DPoP ${agent.lease}`,
      dpop: await proof(agent.key, agent.lease, "POST", path),
    };
    expect((await post(headers)).status).toBe(200);
    expectError(await post(headers), 401, "replay_detected");
    const admin = await send(gate.adminSocket, {
      method: "POST",
      path,
      headers,
      body: '{"path":"README.md"}',
    });
    expectError(admin, 401, "replay_detected");
  });

  test("a lease that this gate did not sign", async () => {
    const forger = await freshKey();
    const claims = JSON.parse(Buffer.from(agent.lease.split(".")[1] ?? "", "base64url").toString());
    const forged = await new SignJWT({ ...claims, sub: "uid:4711" })
      .setProtectedHeader({ alg: "ES256", typ: "JWT", kid: String(decodeProtectedHeader(agent.lease).kid) })
      .sign(forger.key);
    const refused = await post({
      authorization: `DPoP ${forged}`,
      dpop: await proof(agent.key, forged, "POST", path),
    });
    expectError(refused, 401, "invalid_lease");
    const unsigned = `${Buffer.from('{"alg":"none","typ":"JWT"}').toString("base64url")}.${agent.lease.split(".")[1]}.`;
    expectError(
      await post({ authorization: `DPoP ${unsigned}`, dpop: await proof(agent.key, unsigned, "POST", path) }),
      401,
      "invalid_lease",
    );
  });
});
