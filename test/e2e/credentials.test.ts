import { afterAll, beforeAll, expect, test } from "bun:test";
import { httpText } from "../actions/manifests.ts";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";
import { startUpstream, type Upstream, withUpstream } from "./upstream-server.ts";

let upstream: Upstream;
let gate: GateProcess;
let agent: WireAgent;
let operator: WireOperator;

beforeAll(async () => {
  upstream = await startUpstream();
  const manifest = (id: string, level: string) =>
    httpText({
      id,
      risk: { level },
      params: { type: "object", required: ["text"], properties: { text: { type: "string" } } },
      http: {
        method: "POST",
        url: `${upstream.origin}/bot{bot_token}/send`,
        body: { json: { text: { $param: "text" } } },
      },
      egress: { hosts: [{ host: upstream.host, ports: [upstream.port] }] },
      auth: [
        { secret: "BOT_TOKEN", in: "path", name: "bot_token", hosts: [upstream.host] },
        { secret: "API_TOKEN", in: "bearer", hosts: [upstream.host] },
      ],
      verify: { kind: "http" },
    });
  gate = await startGate(
    withUpstream(upstream, ["bot_send", "bot_send_held"], {
      policy: openPolicy(undefined, { actions: ["bot_send", "bot_send_held"] }),
      actions: {
        "send.yaml": manifest("bot_send", "medium"),
        "held.yaml": manifest("bot_send_held", "high"),
      },
    }),
  );
  agent = await WireAgent.connect(gate.clientSocket);
  operator = await WireOperator.of(gate);
});
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  await upstream.close();
});

test("without its credentials a call is refused before anything leaves, with a receipt that says why", async () => {
  const done = await agent.execute("bot_send", { text: "hi" });
  expect(done.status).toBe(502);
  expect(done.body).toMatchObject({
    status: "failed",
    dispatched: "no",
    confirmed: false,
    failure: "secret_missing",
  });
  const receipt = await agent.receipt(done.body.receipt_id);
  expect(receipt.body).toMatchObject({
    status: "failed",
    signature_status: "valid",
    effect_evidence: [{ reached: "none", secrets: [], scrubbed: 0, error: "secret_missing", address: null }],
  });
  expect(upstream.requests).toEqual([]);
});

test("the approver sees which secrets go where, and that their places are open", async () => {
  const held = await agent.execute("bot_send_held", { text: "hi" });
  expect(held.status).toBe(202);
  const shown = await operator.call("GET", `/v1/approvals/${held.body.approval_id}`);
  const bound = { format: "{secret}", origin: upstream.origin, required: true };
  expect(shown.body).toMatchObject({
    approved_secrets: ["BOT_TOKEN", "API_TOKEN"],
    plan: {
      url: `${upstream.origin}/bot%7Bbot_token%7D/send`,
      secrets: [
        { secret: "BOT_TOKEN", in: "path", name: "bot_token", ...bound },
        { secret: "API_TOKEN", in: "header", name: "authorization", ...bound, format: "Bearer {secret}" },
      ],
    },
  });
  const approved = await operator.approve(held.body.approval_id);
  expect(approved.body).toMatchObject({ status: "failed", failure: "secret_missing" });
  expect(upstream.requests).toEqual([]);
});

test("the grant names the secrets, and the log verifies", async () => {
  const about = await operator.call("GET", `/v1/audit/events?session_id=${agent.session}&limit=50`);
  const grants = about.body.events.filter((event: { type: string }) => event.type === "call.granted");
  expect(grants.length).toBe(2);
  for (const grant of grants) expect(JSON.stringify(grant)).toContain('"secrets":["BOT_TOKEN","API_TOKEN"]');
  expect((await operator.call("GET", "/v1/audit/verify")).body).toMatchObject({ intact: true });
});

test("where agents share the gate's account, banner and receipt say that secrets can be read", async () => {
  expect(gate.banner.boundary).toStartWith("same_uid: ");
  expect(gate.banner.boundary).toContain("could read its keys and secrets");
  const done = await agent.execute("bot_send", { text: "hi" });
  const receipt = await agent.receipt(done.body.receipt_id);
  expect(receipt.body).toMatchObject({ boundary: "same_uid" });
  expect(receipt.body.boundary_note).toContain("could read its keys and secrets");
});
