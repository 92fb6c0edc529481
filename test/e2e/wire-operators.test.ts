import { afterAll, beforeAll, describe, expect, test } from "bun:test";
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
import { UNHURRIED } from "./upstream-server.ts";
import { CATALOGUE_SIZE, copy, expectError, ME } from "./wire-answers.ts";

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
      actions_registered: CATALOGUE_SIZE,
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
