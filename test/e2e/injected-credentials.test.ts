import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { httpText } from "../actions/manifests.ts";
import { type GateProcess, openPolicy, runBinary, startGate } from "../gate-process.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";
import { answer, startUpstream, type Upstream, withUpstream } from "./upstream-server.ts";

const TOKEN = 'tok/"+é 0123456789';
const KEY = "key_0123456789abcdef";

let upstream: Upstream;
let gate: GateProcess;
let agent: WireAgent;
let operator: WireOperator;

/** Every spelling of what came, as a careless server would give it back. */
function echo(raw: Buffer): string {
  const text = raw.toString("utf8");
  return JSON.stringify({
    raw: text,
    base64: raw.toString("base64"),
    base64url: raw.toString("base64url"),
    hex: raw.toString("hex"),
    percent: encodeURIComponent(text),
  });
}

beforeAll(async () => {
  upstream = await startUpstream({
    "/echo": (socket, request) =>
      answer(socket, 200, echo(request.raw), [`x-echo: ${KEY}`, "content-type: application/json"]),
    "/gzip": (socket, request) =>
      answer(socket, 200, gzipSync(echo(request.raw)), [
        "content-encoding: gzip",
        "content-type: application/json",
      ]),
    "/moved": (socket) => answer(socket, 302, "", ["location: https://evil.example/"]),
  });
  const manifest = (id: string, level: string, required: boolean) =>
    httpText({
      id,
      risk: { level },
      params: { type: "object", required: ["path"], properties: { path: { type: "string" } } },
      http: { method: "POST", url: `${upstream.origin}/{path}`, body: { json: {} } },
      egress: { hosts: [{ host: upstream.host, ports: [upstream.port] }] },
      auth: [
        { secret: "API_KEY", in: "bearer", hosts: [upstream.host], required },
        { secret: "BODY_TOKEN", in: "body", name: "/token", hosts: [upstream.host], required },
      ],
      verify: { kind: "http", status: [200, 302] },
      response: { headers: ["x-echo", "location"] },
    });
  const actions = ["send", "send_held", "send_optional"];
  gate = await startGate(
    withUpstream(upstream, actions, {
      policy: openPolicy(undefined, { actions }),
      actions: {
        "send.yaml": manifest("send", "medium", true),
        "held.yaml": manifest("send_held", "high", true),
        "optional.yaml": manifest("send_optional", "medium", false),
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

test("where nobody has made a secrets file, an optional credential is left out and a required one is missing", async () => {
  const done = await agent.execute("send_optional", { path: "fine" });
  expect(done.body).toMatchObject({ status: "executed" });
  const [sent, ...more] = upstream.requests;
  expect(Object.fromEntries(sent?.headers ?? []).authorization).toBeUndefined();
  expect([sent?.body.toString(), more]).toEqual(["{}", []]);
  const refused = await agent.execute("send", { path: "fine" });
  expect(refused.body).toMatchObject({ status: "failed", dispatched: "no", failure: "secret_missing" });
  expect(upstream.requests.length).toBe(1);
});

test("a running gate sees the secrets once they are set; they arrive, and nothing that comes back has them", async () => {
  const options = { cwd: gate.root, env: gate.env };
  expect((await runBinary(["secrets", "init"], options)).code).toBe(0);
  for (const [name, value] of [
    ["API_KEY", KEY],
    ["BODY_TOKEN", TOKEN],
  ] as const) {
    const set = await runBinary(["secrets", "set", name], { ...options, stdin: value });
    expect(set.code).toBe(0);
  }
  for (const path of ["echo", "gzip"]) {
    const done = await agent.execute("send", { path });
    const sent = upstream.requests.at(-1);
    expect(Object.fromEntries(sent?.headers ?? []).authorization).toBe(`Bearer ${KEY}`);
    expect(JSON.parse(sent?.body.toString() ?? "")).toEqual({ token: TOKEN });
    expect(done.body).toMatchObject({ status: "executed", dispatched: "yes" });
    const receipt = await agent.receipt(done.body.receipt_id);
    for (const text of [done.text, receipt.text])
      for (const form of [
        KEY,
        TOKEN,
        btoa(KEY).slice(2, -4),
        Buffer.from(KEY).toString("hex"),
        encodeURIComponent(TOKEN),
        JSON.stringify(TOKEN).slice(1, -1),
      ])
        expect(text).not.toContain(form);
    const [effect] = receipt.body.effect_evidence;
    expect(effect).toMatchObject({ secrets: ["API_KEY", "BODY_TOKEN"], reached: "confirmed" });
    expect(effect.scrubbed).toBeGreaterThan(5);
  }
});

test("the approved path sends the same, and a redirect is not followed", async () => {
  const held = await agent.execute("send_held", { path: "moved" });
  expect(held.status).toBe(202);
  const before = upstream.requests.length;
  const approved = await operator.approve(held.body.approval_id);
  expect(approved.body).toMatchObject({ status: "executed", output: { status: 302 } });
  expect(upstream.requests.length).toBe(before + 1);
  expect(Object.fromEntries(upstream.requests.at(-1)?.headers ?? []).authorization).toBe(`Bearer ${KEY}`);
});

test("no file of the gate holds a value", async () => {
  for (const file of ["ledger.db", "ledger.db-wal", "payloads.db", "payloads.db-wal"]) {
    const bytes = readFileSync(`${gate.dir}/${file}`);
    for (const value of [KEY, TOKEN]) expect(bytes.includes(value)).toBe(false);
  }
  expect((await operator.call("GET", "/v1/audit/verify")).body).toMatchObject({ intact: true });
  expect(gate.stderr()).not.toContain(KEY);
});
