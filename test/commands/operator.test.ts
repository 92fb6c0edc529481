import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { EmbeddedJWK, jwtVerify } from "jose";
import type { JsonObject } from "../../src/core/json.ts";
import { publicJwk, thumbprint } from "../../src/keys/jwk.ts";
import { generateKey, writePrivateFile } from "../../src/keys/key-file.ts";
import { Bench, errorOf, jsonOf } from "../client/bench.ts";
import { executed, OTHER_UUID, UUID } from "../client/fake-gate.ts";

const SHOW = `GET /v1/approvals/${UUID}`;
const APPROVE = `POST /v1/approvals/${UUID}/approve`;
const DENY = `POST /v1/approvals/${UUID}/deny`;
const AS = ["--operator", "alice"];

const DETAIL: JsonObject = {
  approval_id: UUID,
  status: "pending",
  action_id: "send_mail",
  risk_level: "high",
  principal: "uid:1001",
  plan_hash: "sha256:11",
  request_hash: "sha256:22",
  to_sign: { approval_id: UUID, call: "33", log: OTHER_UUID, seq: 7 },
  approved_secrets: ["SMTP_TOKEN"],
  reasons: [{ code: "risk_hold", text: "high risk needs a person" }],
  plan: { kind: "http", method: "POST", url: "https://mail.example/send", body: "aGk=\u001b[1A\u202e" },
};

let bench: Bench;
beforeEach(async () => {
  bench = await new Bench().start();
  bench.addOperator("alice");
  bench.admin.on(SHOW, { status: 200, body: DETAIL });
  bench.admin.on(APPROVE, executed({ sent: true }));
});
afterEach(() => bench.stop());

describe("approvals approve", () => {
  test("runs the call, prints its output, and signs for its plan", async () => {
    const ended = await bench.run(["approvals", "approve", UUID, "--yes", ...AS]);
    expect(ended).toEqual({ code: 0, stdout: '{"sent":true}\n', stderr: `receipt ${UUID}\n` });
    const [call] = bench.admin.calls(APPROVE);
    expect(call?.token).toBe("alice");
    const body = JSON.parse(call?.body ?? "") as { statement: string };
    expect(Object.keys(body)).toEqual(["statement"]);
    const { payload, protectedHeader } = await jwtVerify(body.statement, EmbeddedJWK, {
      typ: "latchgate-approval+jws",
      algorithms: ["ES256"],
    });
    expect(thumbprint(protectedHeader.jwk as never)).toBe(bench.admin.operators.get("alice") ?? "none");
    expect(payload).toMatchObject({
      approval_id: UUID,
      call: "33",
      log: OTHER_UUID,
      seq: 7,
      decision: "approve",
    });
  });

  for (const words of [[], ["--json"]])
    test(`asks nobody and does nothing away from a terminal (${words.join(" ") || "plain"})`, async () => {
      const ended = await bench.run(["approvals", "approve", UUID, ...AS, ...words], { stdin: "yes\n" });
      expect(ended.code).toBe(2);
      expect(ended.stderr).toContain("add --yes");
      expect(bench.admin.calls(APPROVE)).toHaveLength(0);
    });

  test("shows everything on a terminal, and goes on with a literal yes", async () => {
    const { code, screen } = await bench.runOnTerminal(
      ["approvals", "approve", UUID, ...AS],
      [["to go on: ", "yes\r"]],
    );
    expect(code).toBe(0);
    for (const text of [
      "send_mail",
      "SMTP_TOKEN",
      "high risk needs a person (risk_hold)",
      "https://mail.example/send",
    ])
      expect(screen).toContain(text);
    expect(screen).toContain("aGk=\\u001b[1A\\u202e");
    expect(screen).not.toContain("\u202e");
    expect(bench.admin.calls(APPROVE)).toHaveLength(1);
  });

  for (const answer of ["y", "no", "YES", ""])
    test(`does nothing when the answer is ${JSON.stringify(answer)}`, async () => {
      const { code, screen } = await bench.runOnTerminal(
        ["approvals", "approve", UUID, ...AS],
        [["to go on: ", `${answer}\r`]],
      );
      expect(code).toBe(1);
      expect(screen).toContain("nothing was done");
      expect(bench.admin.calls(APPROVE)).toHaveLength(0);
    });

  test("asks for the passphrase of a protected key and does not show it", async () => {
    const key = generateKey("p256");
    const pem = key.export({
      type: "pkcs8",
      format: "pem",
      cipher: "aes-256-cbc",
      passphrase: "pa55 w\u00f6rd",
    }) as string;
    const path = join(bench.dir, "carol.pem");
    writePrivateFile(path, pem);
    bench.admin.operators.set("carol", thumbprint(publicJwk(key)));
    const { code, screen } = await bench.runOnTerminal(
      ["approvals", "approve", UUID, "--yes"],
      [["carol.pem: ", "pa55 x\u007fw\u00f6rd\r"]],
      { LATCHGATE_OPERATOR_KEY_FILE: path },
    );
    expect(screen).not.toContain("pa55");
    expect([code, screen.includes("sent")]).toEqual([0, true]);
    const piped = await bench.run(["approvals", "approve", UUID, "--yes", "--json"], {
      env: { LATCHGATE_OPERATOR_KEY_FILE: path },
      stdin: "pa55 w\u00f6rd\n",
    });
    expect([piped.code, errorOf(piped).code]).toEqual([1, "operator_key"]);
  });

  test("has nothing to do when the hold has been decided", async () => {
    bench.admin.on(SHOW, { status: 200, body: { ...DETAIL, status: "denied" } });
    const ended = await bench.run(["approvals", "approve", UUID, "--yes", "--json", ...AS]);
    expect([ended.code, errorOf(ended).code]).toEqual([1, "already_denied"]);
    expect(bench.admin.calls(APPROVE)).toHaveLength(0);
  });

  test("signs nothing when the gate describes another hold or hides its plan", async () => {
    for (const body of [
      { ...DETAIL, approval_id: OTHER_UUID },
      { ...DETAIL, plan_hash: null },
    ]) {
      bench.admin.on(SHOW, { status: 200, body });
      const ended = await bench.run(["approvals", "approve", UUID, "--yes", "--json", ...AS]);
      expect([ended.code, errorOf(ended).code]).toEqual([1, "malformed_answer"]);
    }
    expect(bench.admin.calls(APPROVE)).toHaveLength(0);
  });

  const replies: [string, { status: number; body?: JsonObject; breakOff?: boolean }, number, string][] = [
    [
      "more operators must join",
      { status: 200, body: { decision: "pending_approval", approval_id: UUID, votes: 1, quorum: 2 } },
      6,
      "pending_approval",
    ],
    [
      "somebody was faster",
      { status: 200, body: { decision: "already_approved", approval_id: UUID } },
      1,
      "already_approved",
    ],
    ["it is unknown", { status: 404, body: { error: "action_not_found" } }, 3, "action_not_found"],
    ["the approver asked for it", { status: 403, body: { error: "self_approval" } }, 4, "self_approval"],
    ["the plan is another", { status: 409, body: { error: "conflict" } }, 1, "conflict"],
    [
      "it failed after dispatch",
      { status: 502, body: { error: "action_execution_failed", receipt_id: UUID } },
      7,
      "action_execution_failed",
    ],
    ["the answer never came", { status: 200, breakOff: true }, 7, "effect_unknown"],
  ];
  for (const [why, reply, code, error] of replies)
    test(`exits with ${code} when ${why}`, async () => {
      bench.admin.on(APPROVE, reply);
      const ended = await bench.run(["approvals", "approve", UUID, "--yes", "--json", ...AS]);
      expect([ended.code, errorOf(ended).code]).toEqual([code, error]);
    });

  test("takes whole ids only", async () => {
    for (const id of ["0198c3a0", "../admin/revoke-all", UUID.toUpperCase()])
      expect((await bench.run(["approvals", "approve", id, "--yes", ...AS])).code).toBe(2);
    expect(bench.admin.seen).toHaveLength(0);
  });
});

describe("the other commands on holds", () => {
  test("deny passes the reason on", async () => {
    bench.admin.on(DENY, {
      status: 200,
      body: { decision: "deny", approval_id: UUID, deny_reason: "not today" },
    });
    const ended = await bench.run(["approvals", "deny", UUID, "--reason", "not today", ...AS]);
    expect(ended).toEqual({ code: 0, stdout: `denied ${UUID}: not today\n`, stderr: "" });
    const body = JSON.parse(bench.admin.calls(DENY)[0]?.body ?? "") as { reason: string; statement: string };
    expect(body.reason).toBe("not today");
    const { payload } = await jwtVerify(body.statement, EmbeddedJWK, { typ: "latchgate-approval+jws" });
    expect(payload).toMatchObject({
      approval_id: UUID,
      call: "33",
      log: OTHER_UUID,
      seq: 7,
      decision: "deny",
    });
  });

  test("deny is signed all the same when the plan is gone", async () => {
    const { plan_hash: _, ...detail } = DETAIL;
    bench.admin.on(SHOW, { status: 200, body: detail });
    bench.admin.on(DENY, { status: 200, body: { decision: "deny", approval_id: UUID } });
    expect((await bench.run(["approvals", "deny", UUID, ...AS])).code).toBe(0);
    const { statement } = JSON.parse(bench.admin.calls(DENY)[0]?.body ?? "") as { statement: string };
    const { payload } = await jwtVerify(statement, EmbeddedJWK, { typ: "latchgate-approval+jws" });
    expect(payload).toMatchObject({ approval_id: UUID, call: "33", decision: "deny" });
  });

  test("deny fails when the call has run", async () => {
    bench.admin.on(DENY, { status: 200, body: { decision: "already_approved", approval_id: UUID } });
    const ended = await bench.run(["approvals", "deny", UUID, "--json", ...AS]);
    expect([ended.code, errorOf(ended).code]).toEqual([1, "already_approved"]);
  });

  test("show prints everything, whole", async () => {
    const ended = await bench.run(["approvals", "show", UUID, ...AS]);
    expect(ended.code).toBe(0);
    expect(ended.stdout).toContain("plan_hash:        sha256:11\n");
    expect(ended.stdout).toContain("  - high risk needs a person (risk_hold)\n");
    expect(jsonOf(await bench.run(["approvals", "show", UUID, "--json", ...AS]))).toEqual(DETAIL);
  });

  test("list shows pending holds unless told otherwise, with whole ids", async () => {
    bench.admin.on("GET /v1/approvals", { status: 200, body: { approvals: [DETAIL], count: 1 } });
    const ended = await bench.run(["approvals", "list", ...AS]);
    expect(ended.stdout.split("\n")[1]).toBe(`${UUID}  pending  send_mail  high  uid:1001`);
    await bench.run(["approvals", "list", "--all", "--limit=7", ...AS]);
    await bench.run(["approvals", "list", "--status", "denied", ...AS]);
    expect(bench.admin.seen.map((seen) => seen.target)).toEqual([
      "/v1/approvals?status=pending&limit=50",
      "/v1/approvals?limit=7",
      "/v1/approvals?status=denied&limit=50",
    ]);
    for (const words of [["--all", "--status=denied"], ["--status=x"], ["--limit=0"], ["--limit=201"]])
      expect((await bench.run(["approvals", "list", ...words, ...AS])).code).toBe(2);
  });
});

describe("audit", () => {
  const event = {
    trace_id: UUID,
    timestamp: "2026-01-31T12:00:00.000Z",
    event_type: "action_call",
    action_id: "act",
    principal: "=cmd()\u001b[2J",
    decision: "deny",
    deny_reason: 'say "no", twice',
    session_id: "s",
  };
  beforeEach(() => bench.admin.on("GET /v1/audit/events", { status: 200, body: { events: [event] } }));

  test("passes every filter on, times in the log's own form", async () => {
    const filters = [
      "--action=a b",
      "--principal=p&x=1",
      "--decision=deny",
      "--type=action_call",
      "--trace-id=t",
      "--session-id=s",
      "--after=2026-01-31",
      "--before=2026-02-01T01:00:00+01:00",
      "--limit=1000",
      "--unresolved",
    ];
    await bench.run(["audit", ...filters, ...AS]);
    const url = new URL(bench.admin.seen[0]?.target ?? "", "http://localhost");
    expect(Object.fromEntries(url.searchParams)).toEqual({
      action_id: "a b",
      principal: "p&x=1",
      decision: "deny",
      event_type: "action_call",
      trace_id: "t",
      session_id: "s",
      after: "2026-01-31T00:00:00.000Z",
      before: "2026-02-01T00:00:00.000Z",
      limit: "1000",
      unresolved: "1",
    });
  });

  test("prints a table, json, json lines, or csv that no spreadsheet runs", async () => {
    const table = await bench.run(["audit", ...AS]);
    expect(table.stdout).toContain("=cmd()\\u001b[2J");
    expect(jsonOf(await bench.run(["audit", "--json", ...AS]))).toEqual({ events: [event] });
    const lines = await bench.run(["audit", "--format=jsonl", ...AS]);
    expect(
      lines.stdout
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line)),
    ).toEqual([event]);
    const csv = await bench.run(["audit", "--format=csv", ...AS]);
    expect(csv.stdout).toBe(
      "trace_id,timestamp,event_type,action_id,principal,decision,deny_reason,session_id\r\n" +
        `${UUID},2026-01-31T12:00:00.000Z,action_call,act,'=cmd()\\u001b[2J,deny,"say ""no"", twice",s\r\n`,
    );
  });

  for (const words of [
    ["--format=xml"],
    ["--format=csv", "--json"],
    ["--limit=0"],
    ["--limit=x"],
    ["--after=soon"],
    ["--after=2026-99-99"],
  ])
    test(`refuses ${words.join(" ")}`, async () =>
      expect((await bench.run(["audit", ...words, ...AS])).code).toBe(2));
});

describe("revoke", () => {
  beforeEach(() =>
    bench.admin.on("POST /v1/admin/revoke-all", {
      status: 200,
      body: { previous_epoch: 3, current_epoch: 4 },
    }),
  );

  test("says what it did", async () => {
    const ended = await bench.run(["revoke", "--all", "--yes", ...AS]);
    expect(ended).toEqual({ code: 0, stdout: "revoked: epoch 3 is over, 4 begins\n", stderr: "" });
  });

  test("needs to be told what, and needs a confirmation", async () => {
    for (const words of [["--yes"], ["--all"], ["--all", "--json"]])
      expect((await bench.run(["revoke", ...words, ...AS])).code).toBe(2);
    expect(bench.admin.seen).toHaveLength(0);
  });
});

describe("status", () => {
  beforeEach(() => {
    bench.gate.on("GET /readyz", { status: 200, body: { status: "ready", ledger: true } });
    bench.admin.on("GET /v1/admin/status", { status: 200, body: { status: "ok", uptime_seconds: 5 } });
  });

  test("is full for an operator", async () => {
    expect(jsonOf(await bench.run(["status", "--json", ...AS]))).toEqual({
      status: "ok",
      ledger: true,
      uptime_seconds: 5,
    });
  });

  test("is what everyone may know for others", async () => {
    const ended = await bench.run(["status"]);
    expect(ended.code).toBe(0);
    expect(ended.stdout).toBe("status: ready\nledger: true\n");
    expect(ended.stderr).toContain("no operator key");
  });

  test("is an error for who asks to be an operator and is none", async () => {
    const ended = await bench.run(["status", "--operator", "mallory", "--json"]);
    expect([ended.code, errorOf(ended).code]).toEqual([1, "operator_key"]);
  });

  test("exits with 1 when the gate is not ready, as healthcheck does", async () => {
    bench.gate.on("GET /readyz", { status: 503, body: { status: "not_ready", ledger: false } });
    for (const command of ["status", "healthcheck"]) {
      const ended = await bench.run([command, "--json"]);
      expect([ended.code, errorOf(ended).code]).toEqual([1, "not_ready"]);
      expect(jsonOf(ended)).toEqual({ status: "not_ready", ledger: false });
    }
  });

  test("exits with 5 when no gate answers", async () => {
    for (const command of ["status", "healthcheck"])
      expect((await bench.run([command], { env: { LATCHGATE_SOCKET: "/nowhere/gate.sock" } })).code).toBe(5);
  });
});

describe("actions", () => {
  test("lists them, or describes one with its parameters", async () => {
    bench.gate.on("GET /v1/actions", {
      status: 200,
      body: { actions: [{ action_id: "act", version: "1.0.0", risk_level: "low" }] },
    });
    bench.gate.on("GET /v1/actions/act", { status: 200, body: { action_id: "act", egress: null } });
    bench.gate.on("GET /v1/actions/act/schema/request", { status: 200, body: { type: "object" } });
    expect((await bench.run(["actions"])).stdout).toBe("ACTION  VERSION  RISK\nact     1.0.0    low\n");
    expect(jsonOf(await bench.run(["actions", "act", "--json"]))).toEqual({
      action_id: "act",
      egress: null,
      request_schema: { type: "object" },
    });
    expect((await bench.run(["actions", "other"])).code).toBe(3);
  });

  test("a list of another shape is a malformed answer", async () => {
    bench.gate.on("GET /v1/actions", { status: 200, body: { actions: {} } });
    const ended = await bench.run(["actions", "--json"]);
    expect([ended.code, errorOf(ended).code]).toEqual([1, "malformed_answer"]);
  });
});

test("a planted project folder gets no call", async () => {
  const { mkdirSync, chmodSync } = await import("node:fs");
  mkdirSync(join(bench.dir, ".latchgate"));
  chmodSync(join(bench.dir, ".latchgate"), 0o777);
  for (const words of [["execute", "act"], ["status"], ["approvals", "list"]]) {
    const ended = await bench.run([...words, "--json"], { env: { LATCHGATE_SOCKET: "" } });
    expect([ended.code, errorOf(ended).code]).toEqual([1, "project_untrusted"]);
  }
});
