import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from "jose";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { freshKey, keyFromPem, send, WireAgent, WireOperator } from "../wire-client.ts";
import { UNHURRIED } from "./upstream-server.ts";
import { copy, expectError, HASH, kidOf, ME, TIME, UUID } from "./wire-answers.ts";

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
const hold = async (who = agent): Promise<string> =>
  (await who.execute("fs_write", { path: "src/a.txt", content: "new" })).body.approval_id;

describe("what is not there", () => {
  test("an unknown path is 404, whatever the method; operators' routes are unknown to agents", async () => {
    expectError(await get("/"), 404, "not_found");
    expectError(await get("/v2/actions"), 404, "not_found");
    expectError(await send(gate.clientSocket, { method: "DELETE", path: "/nothing" }), 404, "not_found");
    for (const path of ["/v1/approvals", "/v1/audit/events", "/v1/admin/status"])
      expectError(await get(path), 404, "not_found");
    expectError(await get("/v1/actions/"), 404, "not_found");
    expectError(await get("/v1//actions"), 404, "not_found");
  });

  test("a known path with another method is 405 and says which it takes", async () => {
    for (const [method, path, allow] of [
      ["POST", "/v1/actions", "GET"],
      ["GET", "/v1/leases", "POST"],
      ["GET", "/v1/actions/fs_read/execute", "POST"],
      ["PUT", "/healthz", "GET"],
    ] as const) {
      const refused = await send(gate.clientSocket, { method, path });
      expectError(refused, 405, "method_not_allowed");
      expect(refused.headers.allow).toBe(allow);
    }
  });

  test("a HEAD is answered like its GET, without the body", async () => {
    const head = await send(gate.clientSocket, { method: "HEAD", path: "/healthz" });
    expect([head.status, head.text]).toEqual([200, ""]);
  });
});

describe("leases", () => {
  const lease = (body: unknown) =>
    send(gate.clientSocket, {
      method: "POST",
      path: "/v1/leases",
      body: typeof body === "string" ? body : JSON.stringify(body),
    });

  test("a lease is a JWT of the served key set, bound to the key and the session", async () => {
    const key = await freshKey();
    const before = Math.floor(Date.now() / 1000);
    const given = await lease({ scopes: ["tools:call"], dpop_jwk: key.jwk, budgets: { max_calls: 7 } });
    expect(given.status).toBe(200);
    expect(given.body).toEqual({
      lease_jwt: expect.any(String),
      session_id: expect.stringMatching(UUID),
      lease_jti: expect.stringMatching(UUID),
      expires_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    });
    const keys = createLocalJWKSet((await get("/.well-known/jwks.json")).body);
    const { payload } = await jwtVerify(given.body.lease_jwt, keys, {
      issuer: "latchgate",
      audience: "latchgate",
      algorithms: ["ES256"],
    });
    expect(decodeProtectedHeader(given.body.lease_jwt)).toMatchObject({ alg: "ES256", typ: "JWT" });
    expect(payload).toMatchObject({
      sub: ME,
      jti: given.body.lease_jti,
      session_id: given.body.session_id,
      scope: ["tools:call"],
      budgets: { max_calls: 7 },
      cnf: { jkt: key.jkt },
    });
    expect(payload.exp).toBe(Date.parse(given.body.expires_at) / 1000);
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(300);
    expect(payload.iat).toBeGreaterThanOrEqual(before);
  });

  test("unknown members: refused at the top, tolerated in the key and the budgets", async () => {
    const { jwk } = await freshKey();
    expectError(await lease({ scopes: ["tools:call"], dpop_jwk: jwk, extra: 1 }), 422, "invalid_request");
    const given = await lease({
      scopes: ["tools:call"],
      dpop_jwk: { ...jwk, kid: "mine", use: "sig" },
      budgets: { max_cost_usd_cents: 100 },
    });
    expect(given.status).toBe(200);
  });

  test("a folder of one's own choice must be one that the operator allows", async () => {
    const { jwk } = await freshKey();
    const ask = (fs_root: string) => lease({ scopes: ["tools:call"], dpop_jwk: jwk, fs_root });
    expect((await ask(`${gate.root}/src`)).body.fs_root).toBe(`${gate.root}/src`);
    expectError(await ask("/etc"), 403, "fs_root_denied");
    expectError(await ask("src"), 400, "invalid_fs_root");
    for (const nothing of [`${gate.root}/none`, `${gate.root}/README.md`]) {
      const refused = await ask(nothing);
      expect([refused.status, refused.body.error]).toEqual([400, "invalid_fs_root"]);
    }
  });

  test.each([
    ["no json", "{", 400, "bad_request"],
    ["no body", "", 400, "bad_request"],
    ["a list", "[]", 422, "invalid_request"],
    ["no key", '{"scopes":["tools:call"]}', 422, "invalid_request"],
    [
      "scopes that are no list",
      '{"scopes":"tools:call","dpop_jwk":{"kty":"EC","crv":"P-256","x":"a","y":"b"}}',
      422,
      "invalid_request",
    ],
    [
      "another kind of key",
      '{"scopes":["tools:call"],"dpop_jwk":{"kty":"RSA","crv":"P-256","x":"a","y":"b"}}',
      400,
      "invalid_request",
    ],
    [
      "a point off the curve",
      `{"scopes":["tools:call"],"dpop_jwk":{"kty":"EC","crv":"P-256","x":"${"A".repeat(43)}","y":"${"A".repeat(43)}"}}`,
      400,
      "invalid_request",
    ],
    [
      "a budget below nothing",
      '{"scopes":["tools:call"],"dpop_jwk":{"kty":"EC","crv":"P-256","x":"a","y":"b"},"budgets":{"max_calls":-1}}',
      422,
      "invalid_request",
    ],
  ])("%s", async (_what, body, status, code) => expectError(await lease(body), status, code));

  test.each([[[]], [["tools"]], [["TOOLS:CALL"]], [["a:"]]])("scopes that are none: %j", async (scopes) => {
    const { jwk } = await freshKey();
    expectError(await lease({ scopes, dpop_jwk: jwk }), 400, "invalid_request");
  });

  test("the key of an operator can't hold one", async () => {
    const { jwk } = await keyFromPem(gate.operatorKey);
    expectError(await lease({ scopes: ["tools:call"], dpop_jwk: jwk }), 403, "identity_forbidden");
  });
});

describe("held calls", () => {
  test("an agent's way: held, polled, approved, its receipt fetched", async () => {
    const held = await agent.execute("fs_write", { path: "src/a.txt", content: "new" });
    expect(held.status).toBe(202);
    expect(copy(held.body)).toMatchObject({
      decision: "pending_approval",
      approval_id: expect.stringMatching(UUID),
      request_hash: expect.stringMatching(HASH),
      trace_id: expect.stringMatching(UUID),
    });
    const id = held.body.approval_id;
    expect((await agent.poll(id)).body).toMatchObject({ status: "pending", retry_after_seconds: 2 });
    const approved = await operator.approve(id);
    expect(approved.status).toBe(200);
    expect(copy(approved.body)).toMatchObject({
      decision: "executed",
      approval: {
        decision: "allow",
        approval_id: id,
        approved_by: "default",
        operator_authn_method: "operator_dpop",
        operator_sender_binding: operator.key.jkt,
      },
    });
    const polled = await agent.poll(id);
    expect(copy(polled.body)).toMatchObject({
      status: "approved",
      receipt_id: approved.body.receipt_id,
      output: approved.body.output,
      verification: { outcome: "verified", is_fully_successful: true },
    });
    const receipt = await agent.receipt(approved.body.receipt_id);
    expect(receipt.body).toMatchObject({
      receipt_id: approved.body.receipt_id,
      grant_id: approved.body.grant_id,
      provider_module_digest: expect.stringMatching(HASH),
      provider_receipt: approved.body.output,
      normalized_result: { kind: "success" },
      verification_outcome: { status: "verified" },
      result_hash: expect.stringMatching(/^[0-9a-f]{64}$/),
      receipt_signature: expect.stringMatching(/^[0-9a-f]{128}$/),
      signing_key_id: kidOf(gate.fingerprint),
      started_at: expect.stringMatching(TIME),
      finished_at: expect.stringMatching(TIME),
      failure_class: null,
      signature_status: "valid",
    });
  });

  test("an operator lists and shows them", async () => {
    const id = await hold();
    const listed = (await operator.call("GET", "/v1/approvals?status=pending&limit=10")).body;
    expect(listed.count).toBe(1);
    expect(copy(listed.approvals[0])).toMatchObject({
      approval_id: id,
      status: "pending",
      action_id: "fs_write",
      principal: ME,
      session_id: agent.session,
      risk_level: "high",
      created_at: expect.stringMatching(TIME),
      expires_at: expect.stringMatching(TIME),
    });
    const shown = (await operator.call("GET", `/v1/approvals/${id}`)).body;
    expect(copy(shown)).toMatchObject({
      approval_id: id,
      status: "pending",
      request_hash: expect.stringMatching(HASH),
      plan_hash: expect.stringMatching(HASH),
      approved_targets: ["fs_write"],
      approved_secrets: [],
      approved_egress: "none",
      verifier_kind: "fs_hash",
      plan: { operation: "overwrite", path: "src/a.txt", content: { text: "new", truncated: false } },
    });
    expectError(await operator.call("GET", "/v1/approvals?status=lost"), 400, "bad_request");
    expectError(await operator.call("GET", "/v1/approvals?limit=many"), 400, "bad_request");
    await operator.deny(id);
  });

  test("denied with a reason, and what is over stays as it ended", async () => {
    const id = await hold();
    const denied = await operator.deny(id, "not\u0000 today");
    expect(copy(denied.body)).toMatchObject({
      decision: "deny",
      action_id: "fs_write",
      approval_id: id,
      denied_by: "default",
      deny_reason: "not  today",
    });
    expect((await agent.poll(id)).body).toEqual({ status: "denied", reason: "not  today" });
    for (const again of [await operator.approve(id), await operator.deny(id)]) {
      expect(again.status).toBe(200);
      expect(again.body).toMatchObject({
        decision: "already_denied",
        approval_id: id,
        status: "denied",
        state: "denied",
      });
    }
    const silent = await hold();
    expect((await operator.deny(silent)).body.deny_reason).toBe("operator_denied");
  });

  test("one that is not there is 404 for both decisions alike", async () => {
    const nothing = "01a205ba-0000-7000-8000-000000000000";
    const [approved, denied] = [await operator.approve(nothing), await operator.deny(nothing)];
    for (const answer of [approved, denied]) expectError(answer, 404, "action_not_found");
    expect(approved.text).toBe(denied.text);
    expectError(await operator.call("GET", `/v1/approvals/${nothing}`), 404, "action_not_found");
  });

  test("another session with another key sees nothing of it: 404, not 403", async () => {
    const id = await hold();
    const stranger = await WireAgent.connect(gate.clientSocket);
    expectError(await stranger.poll(id), 404, "not_found");
    const renewed = await WireAgent.connect(gate.clientSocket, { key: agent.key });
    expect((await renewed.poll(id)).body.status).toBe("pending");
    await operator.deny(id);
  });
});

describe("receipts", () => {
  test("are their principal's, and operators' on the admin socket", async () => {
    const done = await agent.execute("fs_read", { path: "README.md" });
    const path = `/v1/receipts/${done.body.receipt_id}`;
    expect((await agent.receipt(done.body.receipt_id)).status).toBe(200);
    expect((await operator.call("GET", path)).status).toBe(200);
    expectError(await get(path), 401, "missing_auth_header");
    expectError(await agent.receipt("01a205ba-0000-7000-8000-000000000000"), 404, "not_found");
    const onAdmin = new WireOperator(gate.adminSocket, agent.key, agent.lease);
    expectError(await onAdmin.call("GET", path), 401, "unauthorized");
  });
});

describe("the admin socket serves agents too, as agents", () => {
  test("leases, execute and poll", async () => {
    const there = await WireAgent.connect(gate.adminSocket);
    expect((await there.execute("fs_read", { path: "README.md" })).status).toBe(200);
    const id = await hold(there);
    expect((await there.poll(id)).body.status).toBe("pending");
    await operator.deny(id);
  });
});
