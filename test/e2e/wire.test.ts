import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify, SignJWT } from "jose";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import {
  freshKey,
  keyFromPem,
  type ProofChanges,
  proof,
  send,
  WireAgent,
  type WireAnswer,
  WireOperator,
} from "../wire-client.ts";
import { UNHURRIED } from "./upstream-server.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const HASH = /^sha256:[0-9a-f]{64}$/;
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{3})?Z$/;
const ME = `uid:${process.getuid?.()}`;

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

/** The key id that the fingerprint spells out. */
const KID = () => gate.fingerprint.replace(/^SHA256:/, "");
const get = (path: string, socket = gate.clientSocket) => send(socket, { method: "GET", path });
const hold = async (who = agent): Promise<string> =>
  (await who.execute("fs_write", { path: "src/a.txt", content: "new" })).body.approval_id;

/** Matching writes the matchers that it met into the value; what is used afterwards is matched as a copy. */
const copy = <T>(value: T): T => structuredClone(value);

/** Every error is JSON with a code and a text for people, and tells nothing internal. */
function expectError(answer: WireAnswer, status: number, code: string): void {
  expect([answer.status, answer.body?.error]).toEqual([status, code]);
  expect(answer.headers["content-type"]).toBe("application/json");
  expect(answer.body.message).toBeString();
  expect(Object.keys(answer.body)[0]).toBe("error");
  expect(answer.text).not.toContain(gate.root);
  expect(answer.text).not.toMatch(/\bat .+:\d+:\d+|node_modules|\.ts\b/);
}

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
        actions_registered: 8,
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
    expect(copy(actions[0])).toMatchObject({
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
        kid: KID(),
        kty: "OKP",
        crv: "Ed25519",
        alg: "EdDSA",
        use: "sig",
        x_hex: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
    ]);
  });
});

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
      signing_key_id: KID(),
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

describe("operators", () => {
  const HOLD = "01a205ba-0000-7000-8000-000000000000";
  const ROUTES: readonly (readonly [method: string, path: string])[] = [
    ["GET", "/v1/approvals"],
    ["GET", `/v1/approvals/${HOLD}`],
    ["POST", `/v1/approvals/${HOLD}/approve`],
    ["POST", `/v1/approvals/${HOLD}/deny`],
    ["GET", "/v1/audit/events"],
    ["GET", "/v1/audit/verify"],
    ["GET", `/v1/receipts/${HOLD}`],
    ["GET", "/v1/admin/epoch"],
    ["GET", "/v1/admin/status"],
    ["POST", "/v1/admin/revoke-all"],
    ["POST", "/v1/admin/drain"],
    ["POST", "/v1/admin/rotate-keys"],
  ];

  test.each(ROUTES)(
    "%s %s: without, or with a wrong credential, 401 and nothing happens",
    async (method, path) => {
      const before = (await operator.call("GET", "/v1/admin/status")).body;
      const ask = (headers: Record<string, string>) => send(gate.adminSocket, { method, path, headers });
      const own = await keyFromPem(gate.operatorKey);
      const stranger = await freshKey();
      const fine = path.endsWith("/approve") || path.endsWith("/deny");
      const refused: [WireAnswer, string][] = [
        [await ask({}), "missing_auth_header"],
        [await ask({ authorization: "DPoP default" }), "missing_dpop_header"],
        [
          await ask({ authorization: "Bearer default", dpop: await proof(own, "default", method, path) }),
          "invalid_auth_scheme",
        ],
        [
          await ask({ authorization: "DPoP nobody", dpop: await proof(own, "nobody", method, path) }),
          "invalid_operator_token",
        ],
        [
          await ask({ authorization: "DPoP default", dpop: await proof(stranger, "default", method, path) }),
          "key_binding_failed",
        ],
        [
          await ask({ authorization: "DPoP default", dpop: await proof(agent.key, "default", method, path) }),
          "key_binding_failed",
        ],
        [
          await ask({
            authorization: `DPoP ${agent.lease}`,
            dpop: await proof(agent.key, agent.lease, method, path),
          }),
          "invalid_operator_token",
        ],
        [
          await ask({
            authorization: "DPoP default",
            dpop: await proof(own, "default", method, "/v1/admin/other"),
          }),
          "invalid_dpop",
        ],
        [
          await ask({
            authorization: "DPoP default",
            dpop: await proof(own, "default", method, path, { iat: 1 }),
          }),
          "invalid_dpop",
        ],
      ];
      for (const [answer, code] of refused) expectError(answer, 401, fine ? code : "unauthorized");
      const after = (await operator.call("GET", "/v1/admin/status")).body;
      expect([after.draining, after.revocation_epoch, after.signing_key_id]).toEqual([
        before.draining,
        before.revocation_epoch,
        before.signing_key_id,
      ]);
    },
  );

  test("a proof that was used is used up", async () => {
    const path = "/v1/admin/epoch";
    const headers = {
      authorization: "DPoP default",
      dpop: await proof(operator.key, "default", "GET", path),
    };
    const ask = () => send(gate.adminSocket, { method: "GET", path, headers });
    expect((await ask()).status).toBe(200);
    expectError(await ask(), 401, "unauthorized");
  });

  test("epoch and status", async () => {
    expect((await operator.call("GET", "/v1/admin/epoch")).body).toEqual({ current_epoch: 0 });
    const status = await operator.call("GET", "/v1/admin/status");
    expect(copy(status.body)).toMatchObject({
      status: "ok",
      version: expect.any(String),
      uptime_seconds: expect.any(Number),
      actions_registered: 8,
      pending_approvals: 0,
      revocation_epoch: 0,
      draining: false,
      in_flight_executions: 0,
      dependencies: { redis: true, opa: true },
      webhooks: { active: 0, pending_deliveries: 0 },
      boundary: "same_uid",
    });
  });

  test("audit events: newest first, filtered, flat", async () => {
    const done = await agent.execute("fs_read", { path: "README.md" });
    const { events } = (await operator.call("GET", `/v1/audit/events?trace_id=${done.body.trace_id}`)).body;
    expect(events.map(({ type }: { type: string }) => type)).toEqual(["call.receipt", "call.granted"]);
    expect(copy(events[0])).toMatchObject({
      event_type: "action_call",
      timestamp: expect.stringMatching(/\.\d{3}Z$/),
      principal: ME,
      session_id: agent.session,
      action_id: "fs_read",
      decision: "allow",
      deny_reason: null,
      receipt_id: done.body.receipt_id,
      prev_hash: expect.stringMatching(/^[0-9a-f]{64}$/),
      signature_status: "valid",
    });
    const count = async (query: string) =>
      (await operator.call("GET", `/v1/audit/events?${query}`)).body.events.length;
    expect(await count("event_type=admin_revoke_all")).toBe(0);
    expect(await count("event_type=lease_issued&limit=1")).toBe(1);
    expect(await count("principal=nobody")).toBe(0);
    expect(await count("after=2999-01-01T00:00:00Z")).toBe(0);
    expect(await count("before=2000-01-01T00:00:00Z")).toBe(0);
    for (const query of ["limit=x", "after=yesterday", "limit=1&limit=2"])
      expectError(await operator.call("GET", `/v1/audit/events?${query}`), 400, "bad_request");
  });

  test("a filter finds what is older than the newest hundred entries", async () => {
    const quiet = await WireAgent.connect(gate.clientSocket);
    for (let i = 0; i < 120; i++) await agent.execute("nothing_here", {});
    const found = (await operator.call("GET", `/v1/audit/events?session_id=${quiet.session}`)).body.events;
    expect(found.map(({ type }: { type: string }) => type)).toEqual(["lease.issued"]);
  });

  test("audit verify", async () => {
    const checked = await operator.call("GET", "/v1/audit/verify");
    expect(copy(checked.body)).toMatchObject({
      intact: true,
      broken_at: null,
      total_events: expect.any(Number),
    });
    expect(checked.body.verified_links).toBe(checked.body.total_events);
  });

  test("rotated lease and evidence keys: old leases and old receipts stay good", async () => {
    const done = await agent.execute("fs_read", { path: "README.md" });
    for (const purpose of ["evidence", "lease"]) {
      const rotated = await operator.call("POST", "/v1/admin/rotate-keys", JSON.stringify({ purpose }));
      expect(copy(rotated.body)).toMatchObject({ ok: true, purpose, kid: expect.any(String) });
      expect(rotated.body.kid).not.toBe(rotated.body.previous_kid);
    }
    expectError(
      await operator.call("POST", "/v1/admin/rotate-keys", '{"purpose":"all"}'),
      400,
      "bad_request",
    );
    expect((await get("/.well-known/jwks.json")).body.keys.length).toBe(2);
    expect((await get("/v1/receipt-keys")).body.keys.length).toBe(2);
    expect((await agent.execute("fs_read", { path: "README.md" })).status).toBe(200);
    expect((await agent.receipt(done.body.receipt_id)).body.signature_status).toBe("valid");
    expect((await operator.call("GET", "/v1/audit/verify")).body.intact).toBe(true);
  });

  test("revoke-all voids leases and holds, and a restart remembers", async () => {
    const old = await WireAgent.connect(gate.clientSocket);
    const id = await hold(old);
    const revoked = await operator.call("POST", "/v1/admin/revoke-all");
    expect(revoked.body).toMatchObject({ previous_epoch: 0, current_epoch: 1 });
    expectError(await old.execute("fs_read", { path: "README.md" }), 401, "revoked");
    expect((await operator.approve(id)).body.decision).toBe("already_failed");
    agent = await WireAgent.connect(gate.clientSocket);
    expect((await agent.execute("fs_read", { path: "README.md" })).status).toBe(200);
    expect(await gate.stop()).toBe(0);
    gate = await gate.restart();
    operator = await WireOperator.of(gate);
    expect((await operator.call("GET", "/v1/admin/epoch")).body).toEqual({ current_epoch: 1 });
    expectError(await old.execute("fs_read", { path: "README.md" }), 401, "revoked");
    // A lease from after it outlives the restart.
    expect((await agent.execute("fs_read", { path: "README.md" })).status).toBe(200);
  });
});
