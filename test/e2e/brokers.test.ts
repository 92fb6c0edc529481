/** Mail, queue and storage through the shipped binary, with credentials from a real secrets file. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { issue, makeAuthority } from "../certificates.ts";
import { type GateProcess, runBinary, startGate } from "../gate-process.ts";
import { type S3Store, startS3Store } from "../s3-store.ts";
import { type SmtpSink, startSmtpSink } from "../smtp-sink.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";

const MAIL_PASSWORD = "correct horse battery staple";
const S3_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const KEY_ID = "AKIDEXAMPLE";
const ME = `uid:${process.getuid?.()}`;

let gate: GateProcess;
let agent: WireAgent;
let operator: WireOperator;
let sink: SmtpSink;
let store: S3Store;

beforeAll(async () => {
  const authority = makeAuthority("local authority");
  const identity = issue(authority, { addresses: ["127.0.0.1"] });
  sink = await startSmtpSink({ tls: "starttls", identity, login: { user: "gate", password: MAIL_PASSWORD } });
  store = await startS3Store({
    identity,
    keyId: KEY_ID,
    secret: S3_SECRET,
    region: "us-east-1",
    host: "127.0.0.1",
  });
  const policy = {
    policy_version: "brokers",
    acl: {
      "*": { allowed_actions: [], allowed_sinks: [] },
      [ME]: {
        allowed_actions: ["email_send", "s3_put", "s3_get", "queue_publish"],
        allowed_sinks: ["mail_send", "storage_write", "storage_read", "queue_publish"],
      },
    },
  };
  const config = `
[[connections.smtp]]
name = "main"
host = "127.0.0.1"
port = ${sink.port}
user = "gate"
password_secret = "MAIL_PASSWORD"
from = "gate@example.com"
domains = ["example.com"]
ca_file = "../ca.pem"

[[connections.s3]]
name = "main"
host = "127.0.0.1"
port = ${store.port}
access_key_id = "${KEY_ID}"
secret_key_secret = "S3_SECRET"
buckets = ["reports"]
keys = ["agents/**"]
ca_file = "../ca.pem"
`;
  gate = await startGate({ policy, config, files: { "ca.pem": authority.certificate } });
  await command(["secrets", "init"]);
  await command(["secrets", "set", "MAIL_PASSWORD"], MAIL_PASSWORD);
  await command(["secrets", "set", "S3_SECRET"], S3_SECRET);
  agent = await WireAgent.connect(gate.clientSocket);
  operator = await WireOperator.of(gate);
}, 60_000);

afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  await sink.close();
  await store.close();
});

async function command(words: readonly string[], stdin?: string): Promise<void> {
  const { code, stderr } = await runBinary(words, {
    cwd: gate.root,
    env: gate.env,
    ...(stdin === undefined ? {} : { stdin }),
  });
  if (code !== 0) throw new Error(stderr);
}

const MESSAGE = { to: ["ann@example.com"], subject: "report", text: "all is well" };

describe("email_send", () => {
  test("is held with its recipients, approved, sent with the gate's login, and recorded without either", async () => {
    const held = await agent.execute("email_send", { ...MESSAGE, bcc: ["bob@example.com"] });
    expect(held.status).toBe(202);
    expect(sink.mails).toEqual([]);
    const shown = await operator.call("GET", `/v1/approvals/${held.body.approval_id}`);
    expect(shown.body.plan).toMatchObject({ kind: "mail", to: MESSAGE.to, bcc: ["bob@example.com"] });
    const done = await operator.approve(held.body.approval_id);
    expect(done.body).toMatchObject({
      status: "executed",
      confirmed: true,
      verification: { outcome: "verified" },
      output: { ok: true, accepted: 2 },
    });
    expect(sink.mails).toMatchObject([{ user: "gate", secure: true }]);
    expect(sink.mails[0]?.recipients).toEqual(["ann@example.com", "bob@example.com"]);
    const receipt = (await agent.receipt(done.body.receipt_id)).text;
    expect(receipt).toContain(done.body.output.message_id);
    for (const hidden of [MAIL_PASSWORD, "ann@example.com", "bob@example.com"])
      expect(receipt).not.toContain(hidden);
  });

  test.each([
    [{ to: ["eve@evil.example"] }, "recipient_not_allowed"],
    [{ bcc: ["eve@evil.example"] }, "recipient_not_allowed"],
    [{ subject: "a\r\nbcc: eve@evil.example" }, "invalid_content"],
  ])("%j is refused and leaves no trace at the server", async (change, code) => {
    const before = sink.connections;
    const refused = await agent.execute("email_send", { ...MESSAGE, ...change });
    expect(refused.status).toBe(403);
    expect(refused.body.deny_reason).toStartWith(code);
    expect(sink.connections).toBe(before);
  });
});

describe("objects", () => {
  test("are put after an approval, and got", async () => {
    const object = { bucket: "reports", key: "agents/may.csv" };
    const held = await agent.execute("s3_put", { ...object, content: "a,b\n", content_type: "text/csv" });
    expect(held.status).toBe(202);
    expect(store.seen).toEqual([]);
    const put = await operator.approve(held.body.approval_id);
    expect(put.body).toMatchObject({ status: "executed", verification: { outcome: "verified" } });
    const got = await agent.execute("s3_get", object);
    expect(got.body).toMatchObject({
      status: "executed",
      verification: { outcome: "verified" },
      output: { ok: true, text: "a,b\n", content_type: "text/csv", etag: put.body.output.etag },
    });
    const again = await agent.execute("s3_put", { ...object, content: "other" });
    const refused = await operator.approve(again.body.approval_id);
    expect(refused.body).toMatchObject({ status: "verification_failed" });
    expect(refused.text).toContain("object_exists");
    expect(store.objects.get("reports/agents/may.csv")?.content.toString()).toBe("a,b\n");
  });

  test.each([
    [{ bucket: "payroll", key: "agents/a" }, "path_denied"],
    [{ bucket: "reports", key: "other/a" }, "path_denied"],
    [{ bucket: "reports", key: "agents/../other/a" }, "path_invalid"],
  ])("%j is out of reach", async (object, code) => {
    const before = store.seen.length;
    const refused = await agent.execute("s3_get", object);
    expect(refused.status).toBe(403);
    expect(refused.body.deny_reason).toStartWith(code);
    expect(store.seen.length).toBe(before);
  });
});

test("an action without its connection is refused", async () => {
  const refused = await agent.execute("queue_publish", { routing_key: "orders", message: 1 });
  expect(refused.status).toBe(403);
  expect(refused.body.deny_reason).toStartWith("connection_missing");
});

test("no credential is in any file or line of the gate but the encrypted one", async () => {
  expect(await gate.stop()).toBe(0);
  const texts = [gate.stderr()];
  for (const name of readdirSync(gate.dir, { recursive: true, withFileTypes: true }))
    if (name.isFile()) texts.push(readFileSync(join(name.parentPath, name.name)).toString("latin1"));
  expect(texts.length).toBeGreaterThan(4);
  for (const value of [MAIL_PASSWORD, S3_SECRET])
    for (const form of [value, Buffer.from(value).toString("base64").replace(/=+$/, "")])
      expect(texts.filter((text) => text.includes(form))).toEqual([]);
  expect(JSON.stringify(store.seen)).not.toContain(S3_SECRET);
});
